package awsaccess

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// endpoint is the one that is configured for the service, for all of them, or that AWS has
// in the region.
func (c *Client) endpoint(ctx context.Context, s Service) (string, error) {
	if url, err := c.configured(ctx, s); err != nil || url != "" {
		return strings.TrimRight(url, "/"), err
	}
	suffix, dual, known := suffixes(c.cfg.Region)
	if !known {
		return "", fmt.Errorf("the address of %s in region %q is not known: set AWS_ENDPOINT_URL_%s", s.ID, c.cfg.Region, strings.ToUpper(strings.ReplaceAll(s.ID, " ", "_")))
	}
	host := s.Host
	if fips, err := c.uses(ctx, "fips"); err != nil {
		return "", err
	} else if fips {
		host += "-fips"
	}
	if both, err := c.uses(ctx, "dual stack"); err != nil {
		return "", err
	} else if both {
		suffix = dual
	}
	return "https://" + host + "." + c.cfg.Region + "." + suffix, nil
}

// configured is the endpoint of AWS_ENDPOINT_URL_<service>, AWS_ENDPOINT_URL, or of the
// shared configuration.
func (c *Client) configured(ctx context.Context, s Service) (string, error) {
	for _, source := range c.cfg.ConfigSources {
		p, ok := source.(interface {
			GetIgnoreConfiguredEndpoints(context.Context) (bool, bool, error)
		})
		if !ok {
			continue
		}
		if ignored, found, err := p.GetIgnoreConfiguredEndpoints(ctx); err != nil || found && ignored {
			return "", err
		}
	}
	for _, source := range c.cfg.ConfigSources {
		p, ok := source.(interface {
			GetServiceBaseEndpoint(context.Context, string) (string, bool, error)
		})
		if !ok {
			continue
		}
		if url, found, err := p.GetServiceBaseEndpoint(ctx, s.ID); err != nil || found {
			return url, err
		}
	}
	if c.cfg.BaseEndpoint != nil {
		return *c.cfg.BaseEndpoint, nil
	}
	return "", nil
}

// uses reports what AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT say.
func (c *Client) uses(ctx context.Context, kind string) (bool, error) {
	for _, source := range c.cfg.ConfigSources {
		switch p := source.(type) {
		case interface {
			GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error)
			GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error)
		}:
			fips, fipsFound, err := p.GetUseFIPSEndpoint(ctx)
			if err != nil {
				return false, err
			}
			dual, dualFound, err := p.GetUseDualStackEndpoint(ctx)
			if err != nil {
				return false, err
			}
			if kind == "fips" && fipsFound {
				return fips == aws.FIPSEndpointStateEnabled, nil
			}
			if kind != "fips" && dualFound {
				return dual == aws.DualStackEndpointStateEnabled, nil
			}
		}
	}
	return false, nil
}

// suffixes are what host names end in, and those that have IPv6 too.
func suffixes(region string) (suffix, dual string, known bool) {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "amazonaws.com.cn", "api.amazonwebservices.com.cn", true
	case strings.HasPrefix(region, "eusc-"):
		return "amazonaws.eu", "api.amazonwebservices.eu", true
	case strings.Contains(region, "-iso"):
		return "", "", false
	}
	return "amazonaws.com", "api.aws", true
}
