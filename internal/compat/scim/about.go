package scim

// What the server says of itself (RFC 7643, sections 5 to 7).

var providerConfig = map[string]any{
	"schemas":               []string{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
	"patch":                 map[string]any{"supported": true},
	"bulk":                  map[string]any{"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
	"filter":                map[string]any{"supported": true, "maxResults": maxPage},
	"changePassword":        map[string]any{"supported": false},
	"sort":                  map[string]any{"supported": false},
	"etag":                  map[string]any{"supported": false},
	"authenticationSchemes": []map[string]any{{"type": "oauthbearertoken", "name": "Bearer token", "description": "a token that keyturn scim token makes", "primary": true}},
	"meta":                  map[string]any{"resourceType": "ServiceProviderConfig", "location": Prefix + "/ServiceProviderConfig"},
}

func resourceType(name, schema string) map[string]any {
	return map[string]any{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:ResourceType"}, "id": name, "name": name, "endpoint": "/" + name + "s", "schema": schema,
		"meta": map[string]any{"resourceType": "ResourceType", "location": Prefix + "/ResourceTypes/" + name}}
}

var resourceTypes = []map[string]any{resourceType("User", schemaUser), resourceType("Group", schemaGroup)}

func attribute(name, kind string, required bool, more ...map[string]any) map[string]any {
	out := map[string]any{"name": name, "type": kind, "multiValued": false, "required": required, "caseExact": false, "mutability": "readWrite", "returned": "default", "uniqueness": "none"}
	if len(more) > 0 {
		out["subAttributes"] = more
	}
	return out
}

func listOf(a map[string]any) map[string]any { a["multiValued"] = true; return a }

func unique(a map[string]any) map[string]any { a["uniqueness"] = "server"; return a }

func schema(id, name string, attributes ...map[string]any) map[string]any {
	return map[string]any{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Schema"}, "id": id, "name": name, "attributes": attributes,
		"meta": map[string]any{"resourceType": "Schema", "location": Prefix + "/Schemas/" + id}}
}

var schemas = []map[string]any{
	schema(schemaUser, "User", unique(attribute("userName", "string", true)), attribute("displayName", "string", false),
		attribute("name", "complex", false, attribute("formatted", "string", false), attribute("givenName", "string", false), attribute("familyName", "string", false)),
		listOf(attribute("emails", "complex", false, attribute("value", "string", true), attribute("type", "string", false), attribute("primary", "boolean", false))),
		attribute("active", "boolean", false), attribute("externalId", "string", false)),
	schema(schemaGroup, "Group", unique(attribute("displayName", "string", true)), attribute("externalId", "string", false),
		listOf(attribute("members", "complex", false, attribute("value", "string", true), attribute("type", "string", false)))),
}
