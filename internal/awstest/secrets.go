package awstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Secrets are KMS, Secrets Manager and the parameter store, as much as master keys need.
type Secrets struct {
	mu         sync.Mutex
	KMSKeys    []string                     // that there are
	secrets    map[string]map[string]string // by name: values by version; none for a secret without a value
	parameters map[string]parameter
}

type parameter struct{ Type, Value string }

// SetSecret stores a secret; an empty value leaves it without one.
func (s *Secrets) SetSecret(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secrets == nil {
		s.secrets = make(map[string]map[string]string)
	}
	s.secrets[name] = make(map[string]string)
	if value != "" {
		s.secrets[name]["initial-version-of-the-secret-00"] = value
	}
}

// Secret is the value that there is.
func (s *Secrets) Secret(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return current(s.secrets[name])
}

func current(versions map[string]string) string {
	for _, value := range versions {
		return value // tests store one
	}
	return ""
}

// SetParameter stores a parameter of a type.
func (s *Secrets) SetParameter(name, kind, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parameters == nil {
		s.parameters = make(map[string]parameter)
	}
	s.parameters[name] = parameter{kind, value}
}

// Parameter is the one that there is.
func (s *Secrets) Parameter(name string) (kind, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parameters[name].Type, s.parameters[name].Value
}

// Answer is for New.
func (s *Secrets) Answer(c Call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c.Service {
	case "kms":
		return s.kms(c)
	case "secretsmanager":
		return s.secretsManager(c)
	case "ssm":
		return s.ssm(c)
	}
	return nil, fmt.Errorf("service %q", c.Service)
}

// sealed is what a ciphertext of ours holds.
type sealed struct {
	Key     string
	Context map[string]string
	Plain   []byte
}

func (s *Secrets) kms(c Call) (any, error) {
	var in struct {
		KeyId                     string
		Plaintext, CiphertextBlob []byte
		EncryptionContext         map[string]string
	}
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	if !slices.Contains(s.KMSKeys, in.KeyId) {
		return nil, &Error{400, "NotFoundException", "Alias arn:aws:kms:" + c.Region + ":123456789012:" + in.KeyId + " is not found."}
	}
	switch c.Operation {
	case "Encrypt":
		blob, err := json.Marshal(sealed{in.KeyId, in.EncryptionContext, in.Plaintext})
		for i := range blob {
			blob[i] ^= 0x5a // so that no test finds the key in it
		}
		return map[string]any{"CiphertextBlob": blob, "KeyId": in.KeyId, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}, err
	case "Decrypt":
		blob := bytes.Clone(in.CiphertextBlob)
		for i := range blob {
			blob[i] ^= 0x5a
		}
		var box sealed
		if json.Unmarshal(blob, &box) != nil || !maps.Equal(box.Context, in.EncryptionContext) {
			return nil, &Error{400, "InvalidCiphertextException", ""}
		}
		if box.Key != in.KeyId {
			return nil, &Error{400, "IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation."}
		}
		return map[string]any{"Plaintext": box.Plain, "KeyId": box.Key, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}, nil
	}
	return nil, fmt.Errorf("operation %q", c.Operation)
}

func (s *Secrets) secretsManager(c Call) (any, error) {
	var in struct{ SecretId, Name, SecretString, ClientRequestToken string }
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	if c.Operation != "GetSecretValue" && (len(in.ClientRequestToken) < 32 || len(in.ClientRequestToken) > 64) {
		return nil, &Error{400, "InvalidParameterException", "ClientRequestToken must be 32-64 characters long."}
	}
	name := in.SecretId + in.Name
	versions, found := s.secrets[name]
	missing := &Error{400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."}
	switch c.Operation {
	case "GetSecretValue":
		if !found {
			return nil, missing
		}
		if len(versions) == 0 {
			return nil, &Error{400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"}
		}
		return map[string]any{"Name": name, "SecretString": current(versions), "VersionStages": []string{"AWSCURRENT"}}, nil
	case "PutSecretValue":
		if !found {
			return nil, missing
		}
	case "CreateSecret":
		if found {
			return nil, &Error{400, "ResourceExistsException", "The operation failed because the secret " + name + " already exists."}
		}
		if s.secrets == nil {
			s.secrets = make(map[string]map[string]string)
		}
		versions = make(map[string]string)
		s.secrets[name] = versions
	default:
		return nil, fmt.Errorf("operation %q", c.Operation)
	}
	if value, stored := versions[in.ClientRequestToken]; stored && value != in.SecretString {
		return nil, &Error{400, "ResourceExistsException", "You can't use ClientRequestToken " + in.ClientRequestToken + " because that value is already in use for a version of secret " + name + "."}
	}
	versions[in.ClientRequestToken] = in.SecretString
	return map[string]any{"Name": name, "VersionId": in.ClientRequestToken}, nil
}

func (s *Secrets) ssm(c Call) (any, error) {
	var in struct {
		Name, Value, Type         string
		Overwrite, WithDecryption bool
	}
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	if arn := strings.SplitN(in.Name, ":parameter", 2); len(arn) == 2 {
		in.Name = arn[1]
	}
	stored, found := s.parameters[in.Name]
	switch c.Operation {
	case "GetParameter":
		if !found {
			return nil, &Error{400, "ParameterNotFound", ""}
		}
		value := stored.Value
		if stored.Type == "SecureString" && !in.WithDecryption {
			value = "AQICAHh-sealed"
		}
		return map[string]any{"Parameter": map[string]any{"Name": in.Name, "Type": stored.Type, "Value": value, "Version": 1}}, nil
	case "PutParameter":
		if found && !in.Overwrite {
			return nil, &Error{400, "ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true."}
		}
		if s.parameters == nil {
			s.parameters = make(map[string]parameter)
		}
		s.parameters[in.Name] = parameter{in.Type, in.Value}
		return map[string]any{"Version": 1, "Tier": "Standard"}, nil
	}
	return nil, fmt.Errorf("operation %q", c.Operation)
}
