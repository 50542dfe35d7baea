package masterkey

import (
	"context"
	"fmt"

	"github.com/latchkey-auth/latchkey/internal/awsaccess"
)

// firstVersion is the id of the version that Create stores. Secrets Manager refuses a
// second version of one id that holds something else: the first process has made the
// key.
const firstVersion = "latchkey-master-key-first-version-0001"

func (s Source) secret(action string) call {
	resource := s.Name
	if _, isARN := s.region(); !isARN {
		resource = "arn:aws:secretsmanager:REGION:ACCOUNT:secret:" + s.Name + "-*"
	}
	return call{awsaccess.Right{
		Actions:  []string{"secretsmanager:" + action},
		Resource: resource,
		Also:     "and kms:Decrypt and kms:GenerateDataKey on its key, if that is not aws/secretsmanager",
	}, s}
}

// What Secrets Manager says.
const (
	secretMissing = "ResourceNotFoundException" // or it has no value
	secretTaken   = "ResourceExistsException"   // the name, or the version
)

func readSecret(ctx context.Context, api *awsaccess.Client, s Source) (string, error) {
	in := struct{ SecretId string }{s.Name}
	var out struct{ SecretString *string }
	err := api.Do(ctx, awsaccess.SecretsManager, "GetSecretValue", in, &out)
	switch {
	case awsaccess.Code(err) == secretMissing:
		return "", fmt.Errorf("%w in %s; `latchkey init` creates it", ErrMissing, s)
	case err != nil:
		return "", s.deleted(s.secret("GetSecretValue"), err)
	case out.SecretString == nil:
		return "", fmt.Errorf("%s %s: the secret holds bytes; it must hold text, the master key in base64", s.Kind, s.Name)
	}
	return *out.SecretString, nil
}

// createSecret stores text unless there is a value. A secret may be there without one, as
// CloudFormation makes it.
func createSecret(ctx context.Context, api *awsaccess.Client, s Source, text string) error {
	put := struct{ SecretId, SecretString, ClientRequestToken string }{s.Name, text, firstVersion}
	err := api.Do(ctx, awsaccess.SecretsManager, "PutSecretValue", put, &struct{}{})
	switch {
	case err == nil, awsaccess.Code(err) == secretTaken: // by another process
		return nil
	case awsaccess.Code(err) != secretMissing:
		return s.deleted(s.secret("PutSecretValue"), err)
	}
	if _, isARN := s.region(); isARN {
		return fmt.Errorf("%s %s: there is no such secret, and one cannot be created by its ARN: give its name", s.Kind, s.Name)
	}
	create := struct{ Name, SecretString, ClientRequestToken, Description string }{s.Name, text, firstVersion, description}
	err = api.Do(ctx, awsaccess.SecretsManager, "CreateSecret", create, &struct{}{})
	if err == nil || awsaccess.Code(err) == secretTaken {
		return nil
	}
	return s.deleted(s.secret("CreateSecret"), err)
}

// description is for who finds the key among others.
const description = "Master key of latchkey. What it seals is lost without it."

// deleted explains what Secrets Manager says of a secret that waits for its deletion.
func (s Source) deleted(c call, err error) error {
	if awsaccess.Code(err) != "InvalidRequestException" {
		return c.failed(err)
	}
	return fmt.Errorf("%w (hint: if the secret was deleted, `aws secretsmanager restore-secret --secret-id %s` brings it back until its recovery window ends)", c.failed(err), s.Name)
}
