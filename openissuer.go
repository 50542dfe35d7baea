package latchkey

import (
	"fmt"
	"slices"
	"strings"
)

// consumers is the tenant of Microsoft accounts that anybody can open.
const consumers = "9188040d-6c67-4c5b-b112-36a304b66dad"

// checkOpen refuses issuers whose tokens anybody can get, unless something is
// required that not everybody has.
func (i *Issuer) checkOpen() error {
	claims := openTo(i.URL)
	if i.common() != "" {
		claims = []string{"tid"}
	}
	if claims == nil {
		return nil
	}
	for _, m := range i.Require {
		if len(m.Claim) == 1 && len(m.Values) > 0 && !slices.Contains(m.Values, "") && slices.Contains(claims, m.Claim[0]) {
			if m.Claim[0] == "tid" && slices.Contains(m.Values, consumers) {
				return fmt.Errorf("the tid %s is that of Microsoft accounts, which anybody can open", consumers)
			}
			return nil
		}
	}
	return fmt.Errorf("anybody can get tokens of %s: Require must list values of %s", shown(i.URL), strings.Join(claims, " or "))
}

// openTo returns the claims that tell people apart at an issuer that serves
// everybody; nil for other issuers.
func openTo(url string) []string {
	switch url {
	case "https://accounts.google.com", "accounts.google.com":
		return []string{"hd", "sub"}
	case "https://token.actions.githubusercontent.com":
		return []string{"repository_owner", "repository_owner_id", "repository", "repository_id"}
	case "https://gitlab.com":
		return []string{"namespace_path", "namespace_id", "project_path", "project_id"}
	case "https://agent.buildkite.com":
		return []string{"organization_slug", "organization_id"}
	case "https://app.terraform.io":
		return []string{"terraform_organization_name", "terraform_organization_id"}
	case "https://appleid.apple.com":
		return []string{"sub"}
	case "https://login.microsoftonline.com/" + consumers + "/v2.0", "https://sts.windows.net/" + consumers + "/":
		return []string{"oid", "sub"}
	}
	return nil
}

// common returns the part of the URL that stands for any tenant of Entra.
func (i *Issuer) common() string {
	for _, host := range []string{"https://login.microsoftonline.com/", "https://sts.windows.net/"} {
		if path, ok := strings.CutPrefix(i.URL, host); ok {
			tenant, _, _ := strings.Cut(path, "/")
			switch tenant {
			case "common", "organizations", "consumers", "{tenantid}":
				return "/" + tenant + "/"
			}
		}
	}
	return ""
}

// urls are the exact values of iss: one, or one for each tenant that a common URL
// stands for.
func (i *Issuer) urls() []string {
	common := i.common()
	if common == "" {
		return []string{i.URL}
	}
	var urls []string
	for _, m := range i.Require {
		if len(m.Claim) == 1 && m.Claim[0] == "tid" {
			for _, tid := range m.Values {
				urls = append(urls, strings.Replace(i.URL, common, "/"+tid+"/", 1))
			}
		}
	}
	return urls
}
