package rootkey

import (
	"context"
	"errors"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/keyturn/keyturn/internal/fault"
)

// findCredentials takes a key pair from the server's variables. Without one it asks AWS's own chain, which reads the process's
// variables and ~/.aws: profiles, a web identity as in EKS, container credentials as in ECS and EKS Pod Identity, and the
// instance metadata service with session tokens. Nothing is kept between calls, so that rotated credentials are taken up.
func (k awsKMS) findCredentials(ctx context.Context) (aws.Credentials, error) {
	id, secret := k.env.value("AWS_ACCESS_KEY_ID"), k.env.value("AWS_SECRET_ACCESS_KEY")
	if id != "" && secret != "" {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: k.env.value("AWS_SESSION_TOKEN"), Source: "environment"}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	container := func(o *endpointcreds.Options) { o.HTTPClient = withoutProxy(k.client) } // else it makes one of its own
	c, err := config.LoadDefaultConfig(ctx, config.WithRegion(k.region), config.WithHTTPClient(awsClient(k.client)),
		config.WithEndpointCredentialOptions(container), config.WithLogger(logging.Nop{}), config.WithRetryMaxAttempts(maxTries))
	if err != nil {
		return aws.Credentials{}, fault.New(fault.Denied, "the AWS configuration of this server cannot be read"). // the cause shows files' contents
																WithHint("check the AWS_ variables and ~/.aws/config")
	}
	found, err := c.Credentials.Retrieve(ctx)
	if err == nil {
		return found, nil
	}
	if answered, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		if s := answered.HTTPStatusCode(); s < http.StatusInternalServerError && s != http.StatusTooManyRequests {
			return aws.Credentials{}, refused("AWS", "gives this server no credentials").
				WithHint("check that the machine has a role, the trust policy of the role, and that the web identity token is fresh")
		}
	}
	return aws.Credentials{}, fault.New(fault.Unavailable, "no AWS credentials are to be had").
		WithHint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine, task or service account a role")
}

// awsClient is the client for the vendor's chain. Package config puts the authorities of AWS_CA_BUNDLE into clients of its own
// kind and fails with any other where that variable is set, so it gets one with what matters of ours.
func awsClient(c *http.Client) config.HTTPClient {
	own := ownTransport(c)
	if own == nil {
		return c
	}
	return awshttp.NewBuildableClient().WithTimeout(callTimeout).WithTransportOptions(func(t *http.Transport) {
		t.Proxy, t.DialContext, t.TLSClientConfig = own.Proxy, own.DialContext, own.TLSClientConfig
	})
}
