# What a patch of a machine never brings in.
package backtrail.patch

deny contains {"rule": "security.egress", "msg": msg, "path": path} if {
	some i, found in input.code.egress
	path := sprintf("code.egress[%d]", [i])
	msg := sprintf("%s:%d talks to the outside: %s", [found.path, found.line, found.what])
}

# The finding says of which kind a secret is, never the secret: decisions are logged.
deny contains {"rule": "security.secrets", "msg": msg, "path": path} if {
	some i, found in input.code.secrets
	path := sprintf("code.secrets[%d]", [i])
	msg := sprintf("%s:%d holds a secret (%s)", [found.path, found.line, found.kind])
}

deny contains {"rule": "security.pii", "msg": msg, "path": path} if {
	some i, found in input.code.pii
	path := sprintf("code.pii[%d]", [i])
	msg := sprintf("%s:%d holds data of a person (%s)", [found.path, found.line, found.kind])
}

deny contains {"rule": "security.undefined_names", "msg": msg, "path": path} if {
	some i, found in input.code.undefined_names
	path := sprintf("code.undefined_names[%d]", [i])
	msg := sprintf("%s:%d uses %s, which nothing defines", [found.path, found.line, found.name])
}

deny contains {"rule": "security.syntax", "msg": msg, "path": path} if {
	some i, found in input.code.syntax_errors
	path := sprintf("code.syntax_errors[%d]", [i])
	msg := sprintf("%s:%d is no valid code", [found.path, found.line])
}

deny contains {"rule": "security.dependencies", "msg": msg, "path": path} if {
	some i, name in input.code.new_dependencies
	path := sprintf("code.new_dependencies[%d]", [i])
	msg := sprintf("%s is a new dependency", [name])
}
