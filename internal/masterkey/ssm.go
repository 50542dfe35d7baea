package masterkey

import (
	"context"
	"fmt"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/awsaccess"
)

func (s Source) parameter(action string) call {
	resource := s.Name
	if _, isARN := s.region(); !isARN {
		resource = "arn:aws:ssm:REGION:ACCOUNT:parameter/" + strings.TrimPrefix(s.Name, "/")
	}
	return call{awsaccess.Right{
		Actions:  []string{"ssm:" + action},
		Resource: resource,
		Also:     "and kms:Decrypt and kms:Encrypt on its key, if that is not alias/aws/ssm",
	}, s}
}

func readParameter(ctx context.Context, api *awsaccess.Client, s Source) (string, error) {
	in := struct {
		Name           string
		WithDecryption bool
	}{s.Name, true}
	var out struct {
		Parameter struct{ Type, Value string }
	}
	err := api.Do(ctx, awsaccess.SSM, "GetParameter", in, &out)
	switch {
	case awsaccess.Code(err) == "ParameterNotFound":
		return "", fmt.Errorf("%w in %s; `latchkey init` creates it", ErrMissing, s)
	case awsaccess.Code(err) == "InvalidKeyId":
		return "", fmt.Errorf("%w (hint: the key of KMS that encrypts the parameter is disabled or gone)", s.parameter("GetParameter").failed(err))
	case err != nil:
		return "", s.parameter("GetParameter").failed(err)
	case out.Parameter.Type != secure:
		return "", fmt.Errorf("%s %s: the parameter is a %s, which is stored in clear: make a new master key in a SecureString", s.Kind, s.Name, out.Parameter.Type)
	}
	return out.Parameter.Value, nil
}

// secure is the type of parameters that are encrypted.
const secure = "SecureString"

// createParameter stores text unless there is a parameter.
func createParameter(ctx context.Context, api *awsaccess.Client, s Source, text string) error {
	if _, isARN := s.region(); isARN {
		return fmt.Errorf("%s %s: a parameter cannot be created by its ARN: give its name", s.Kind, s.Name)
	}
	in := struct {
		Name, Value, Type, Description string
		Overwrite                      bool
	}{s.Name, text, secure, description, false}
	err := api.Do(ctx, awsaccess.SSM, "PutParameter", in, &struct{}{})
	if err == nil || awsaccess.Code(err) == "ParameterAlreadyExists" { // by another process
		return nil
	}
	return s.parameter("PutParameter").failed(err)
}
