package infisical

import (
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// The settings of each kind of login method, there and here.

func readKubernetes(c *call, settings object) ([]sensitive.Value, error) {
	if mode, err := c.text("tokenReviewMode"); err != nil || mode != "" && mode != "api" {
		return nil, fault.New(fault.Unsupported, "the API server is asked by this server itself").WithHint("leave tokenReviewMode out")
	}
	if err := each(c.unheld("the API server is asked by this server itself", "gatewayId"), c.textInto(settings, "kubernetesHost", "server"), c.textInto(settings, "caCert", "ca"),
		c.listInto(settings, "allowedAudience", "audience"), c.listInto(settings, "allowedNamespaces", "namespaces"), c.listInto(settings, "allowedNames", "service_accounts")); err != nil {
		return nil, err
	}
	reviewer, err := c.text("tokenReviewerJwt")
	if err != nil || reviewer == "" {
		return nil, err
	}
	return []sensitive.Value{sensitive.FromString(reviewer)}, nil
}

func showKubernetes(settings, out object) {
	out["kubernetesHost"], out["caCert"], out["allowedAudience"] = shown(settings["server"]), shown(settings["ca"]), joined(settings["audience"])
	out["allowedNamespaces"], out["allowedNames"] = joined(settings["namespaces"]), joined(settings["service_accounts"])
	out["tokenReviewerJwt"], out["tokenReviewMode"], out["gatewayId"] = "", "api", nil // the reviewer's token is not shown again
}

func readOIDC(c *call, settings object) ([]sensitive.Value, error) {
	issuer, err := c.text("boundIssuer")
	if err != nil {
		return nil, err
	}
	discovery, err := c.text("oidcDiscoveryUrl")
	if err != nil {
		return nil, err
	}
	if issuer == "" {
		issuer = shown(settings["issuer"])
	}
	if discovery != "" && discovery != issuer {
		return nil, fault.New(fault.Unsupported, "keys are asked of the issuer itself").WithHint("give oidcDiscoveryUrl and boundIssuer the same address, or use jwt-auth with the address of the keys")
	}
	settings["issuer"] = issuer
	return nil, each(c.textInto(settings, "caCert", "ca"), c.listInto(settings, "boundAudiences", "audience"), c.boundInto(settings))
}

func showOIDC(settings, out object) {
	showBound(settings, out)
	out["oidcDiscoveryUrl"], out["caCert"] = shown(settings["issuer"]), shown(settings["ca"])
}

func readJWKS(c *call, settings object) ([]sensitive.Value, error) {
	if kind, err := c.text("configurationType"); err != nil || kind != "" && kind != "jwks" {
		return nil, fault.New(fault.Unsupported, "the keys of a JWT are asked at the address of a key set").WithHint("publish them as a JWK set, and send configurationType jwks")
	}
	return nil, each(c.textInto(settings, "jwksUrl", "jwks_url"), c.textInto(settings, "jwksCaCert", "ca"), c.textInto(settings, "boundIssuer", "issuer"),
		c.listInto(settings, "boundAudiences", "audience"), c.boundInto(settings))
}

func showJWKS(settings, out object) {
	showBound(settings, out)
	out["configurationType"], out["jwksUrl"], out["jwksCaCert"], out["publicKeys"] = "jwks", shown(settings["jwks_url"]), shown(settings["ca"]), []string{}
}

// awsEndpoint is where the dialect has requests sent when a client says nothing. Ours takes every endpoint of AWS.
const awsEndpoint = "https://sts.amazonaws.com/"

func readAWS(c *call, settings object) ([]sensitive.Value, error) {
	settings["portable"] = true // clients of the dialect sign no name of a server
	endpoint, err := c.text("stsEndpoint")
	if err == nil && endpoint != "" && endpoint != awsEndpoint {
		err = fault.New(fault.Unsupported, "a signed request is sent to the endpoint of AWS that it was signed for").WithHint("leave stsEndpoint out")
	}
	return nil, each(err, c.listInto(settings, "allowedAccountIds", "accounts"), c.listInto(settings, "allowedPrincipalArns", "principals"))
}

func showAWS(settings, out object) {
	out["type"], out["stsEndpoint"], out["allowedAccountIds"], out["allowedPrincipalArns"] = "iam", awsEndpoint, joined(settings["accounts"]), joined(settings["principals"])
}

func readGCP(c *call, settings object) ([]sensitive.Value, error) {
	if kind, err := c.text("type"); err != nil || kind != "" && kind != "gce" {
		return nil, fault.New(fault.Unsupported, "a machine of Google Cloud shows its identity token").WithHint("send type gce")
	}
	if zones, err := c.text("allowedZones"); err != nil || zones != "" {
		return nil, fault.New(fault.Unsupported, "zones are not looked at").WithHint("name projects and service accounts")
	}
	settings["audience"] = []string{c.http.PathValue("identity")} // clients ask for a token for the machine's id
	return nil, each(c.listInto(settings, "allowedServiceAccounts", "service_accounts"), c.listInto(settings, "allowedProjects", "projects"))
}

func showGCP(settings, out object) {
	out["type"], out["allowedServiceAccounts"], out["allowedProjects"], out["allowedZones"] = "gce", joined(settings["service_accounts"]), joined(settings["projects"]), ""
}

func readAzure(c *call, settings object) ([]sensitive.Value, error) {
	return nil, each(c.textInto(settings, "tenantId", "tenant"), c.listInto(settings, "resource", "audience"), c.listInto(settings, "allowedServicePrincipalIds", "objects"))
}

func showAzure(settings, out object) {
	out["tenantId"], out["resource"], out["allowedServicePrincipalIds"] = shown(settings["tenant"]), joined(settings["audience"]), joined(settings["objects"])
}
