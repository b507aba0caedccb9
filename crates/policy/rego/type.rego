# What kinds of change may be applied without a person who wrote them.
package backtrail.patch

# A list of what is allowed: a tier that nobody thought of is refused.
deny contains {"rule": "type.tier", "msg": msg, "path": "patch.tier"} if {
	not input.patch.tier in {0, 1, 2}
	msg := sprintf("tier %v is never applied automatically", [input.patch.tier])
}

deny contains {"rule": "type.kind", "msg": msg, "path": path} if {
	input.patch.kind in {"config", "flag"}
	some i, file in input.diff.files
	file.kind == "source"
	path := sprintf("diff.files[%d].kind", [i])
	msg := sprintf("%s is source code: a %s patch does not change it", [file.path, input.patch.kind])
}

deny contains {"rule": "type.flag", "msg": msg, "path": "code.flag.present"} if {
	needs_flag
	not input.code.flag.present
	msg := sprintf("this %s patch must be behind a flag", [input.patch.kind])
}

deny contains {"rule": "type.flag", "msg": "the flag has no name", "path": "code.flag.name"} if {
	input.code.flag.present
	input.code.flag.name == null
}

deny contains {"rule": "type.public_api", "msg": msg, "path": path} if {
	some i, name in input.code.public_api_changed
	path := sprintf("code.public_api_changed[%d]", [i])
	msg := sprintf("the public interface %s changes: its callers are not known", [name])
}

deny contains {"rule": rule, "msg": msg, "path": path} if {
	some i, file in input.diff.files
	some kind, why in untouchable
	file.kind == kind
	rule := sprintf("type.%s", [kind])
	path := sprintf("diff.files[%d].kind", [i])
	msg := sprintf("%s %s", [file.path, why])
}

# A contract with other services may grow. What is not compared could be anything.
deny contains {"rule": "type.contract", "msg": msg, "path": path} if {
	some i, file in input.diff.files
	file.kind == "contract"
	not file.path in compared
	path := sprintf("diff.files[%d].kind", [i])
	msg := sprintf("%s is a contract with other services and was not compared", [file.path])
}

deny contains {"rule": "type.contract", "msg": msg, "path": path} if {
	some i, contract in input.contracts
	some reason in contract.breaking
	path := sprintf("contracts[%d].breaking", [i])
	msg := sprintf("%s is a contract with other services: %s", [contract.path, reason])
}

compared contains contract.path if some contract in input.contracts

# A file that is moved away from such a place is a change of it, too: the caller states the stricter of both kinds.
untouchable := {
	"migration": "is a migration of data: a revert does not undo it",
	"dependency": "chooses dependencies: that is a review of its own",
	"ci": "governs how changes are built and approved",
}

# New code always does, whatever is said about it; what goes back to a state that ran before may not.
needs_flag if is_code

needs_flag if input.code.flag.required

is_code if input.patch.kind == "code"

is_revert if input.patch.kind == "revert"
