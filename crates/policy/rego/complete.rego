# A field that is missing, or that has another form than stated here, is a denial. Rules that compare a missing field
# are undefined, which means "no denial" in Rego: only this file makes that safe, so it can not be switched off. It is
# asked first, and alone: it must not read rules of other files.
package backtrail.patch

deny contains {"rule": "complete", "msg": msg, "path": path} if {
	some path, form in fields
	not has_form(path, form)
	msg := sprintf("%s is missing or is not %s", [path, form])
}

# Tests and the proof of the revert come later. Any stage but the early one needs them.
deny contains {"rule": "complete", "msg": msg, "path": path} if {
	not before_tests
	some path, form in fields_after_tests
	not has_form(path, form)
	msg := sprintf("%s is missing or is not %s after the tests", [path, form])
}

deny contains {"rule": "complete", "msg": msg, "path": path} if {
	some list, members in elements
	found := value_at(list)
	is_array(found)
	some i, element in found
	some name, form in members
	not member_has_form(element, name, form)
	path := sprintf("%s[%d].%s", [list, i, name])
	msg := sprintf("%s is missing or is not %s", [path, form])
}

before_tests if input.stage == "before_tests"

after_tests if input.stage == "after_tests"

fields := {
	"stage": "before_tests or after_tests",
	"request.id": "text",
	"request.incident": "text",
	"request.service": "text",
	"request.confidence": "a number from 0 to 1",
	"owner.repository": "text",
	"owner.path_prefix": "text, perhaps empty",
	"owner.team": "text",
	"owner.owners": "a list of texts",
	"patch.repository": "text",
	"patch.commit": "text",
	"patch.recipe": "text",
	"patch.tier": "a count",
	"patch.kind": "revert, config, flag or code",
	"patch.origin": "recipe or llm",
	"diff.digest": "text",
	"diff.line_count": "a count",
	"diff.added": "a count",
	"diff.removed": "a count",
	"diff.noop_hunks": "a count",
	"diff.functions_changed": "a count",
	"diff.files": "a list",
	"code.undefined_names": "a list",
	"code.syntax_errors": "a list",
	"code.public_api_changed": "a list of texts",
	"code.flag.required": "true or false",
	"code.flag.present": "true or false",
	"code.flag.name": "text or null",
	"code.new_dependencies": "a list of texts",
	"code.egress": "a list",
	"code.secrets": "a list",
	"code.pii": "a list",
	"contracts": "a list",
	"golden.assertions_added": "a count",
	"observability.span_attrs_added": "a list of texts",
	"observability.required": "a list of texts",
	"observability.counters_added": "a count",
	"observability.log_fields_added": "a count",
	"sandbox.isolated": "a list of texts",
	"sandbox.not_isolated": "a list of texts",
	"limits.max_lines": "a count",
	"limits.max_files": "a count",
	"limits.max_functions": "a count",
}

fields_after_tests := {
	"tests.added_count": "a count",
	"tests.added": "a list of texts",
	"tests.failing_before": "a count",
	"tests.passing_after": "a count",
	"tests.repeats": "a count",
	"tests.flaky": "a count",
	"tests.suite_before.passed": "a count",
	"tests.suite_before.failed": "a count",
	"tests.suite_after.passed": "a count",
	"tests.suite_after.failed": "a count",
	"tests.newly_failing": "a list of texts",
	"tests.changed_or_removed": "a list of texts",
	"revert_proof.tree_before": "text",
	"revert_proof.tree_after_revert": "text",
}

elements := {
	"diff.files": {
		"path": "text",
		"old_path": "text or null",
		"status": "added, modified, deleted or renamed",
		"mode_before": "text or null",
		"mode_after": "text or null",
		"binary": "true or false",
		"symlink": "true or false",
		"submodule": "true or false",
		"kind": "a kind of file",
		"added": "a count",
		"removed": "a count",
	},
	"code.undefined_names": {"path": "text", "line": "a count", "name": "text"},
	"code.syntax_errors": {"path": "text", "line": "a count"},
	"code.egress": {"path": "text", "line": "a count", "what": "text"},
	"code.secrets": {"path": "text", "line": "a count", "kind": "text"},
	"code.pii": {"path": "text", "line": "a count", "kind": "text"},
	"contracts": {"path": "text", "format": "text", "breaking": "a list of texts", "additions": "a list of texts"},
}

value_at(path) := input[parts[0]] if {
	parts := split(path, ".")
	count(parts) == 1
}

value_at(path) := input[parts[0]][parts[1]] if {
	parts := split(path, ".")
	count(parts) == 2
}

value_at(path) := input[parts[0]][parts[1]][parts[2]] if {
	parts := split(path, ".")
	count(parts) == 3
}

has_form(path, form) if {
	value := value_at(path)
	fits(value, form)
}

member_has_form(element, name, form) if {
	value := element[name]
	fits(value, form)
}

fits(value, "text") if {
	is_string(value)
	value != ""
}

fits(value, "text, perhaps empty") if is_string(value)

fits(value, "text or null") if {
	is_string(value)
	value != ""
}

fits(value, "text or null") if is_null(value)

fits(value, "true or false") if is_boolean(value)

fits(value, "a count") if {
	is_number(value)
	value >= 0
	value == floor(value)
}

fits(value, "a number from 0 to 1") if {
	is_number(value)
	value >= 0
	value <= 1
}

fits(value, "a list") if is_array(value)

fits(value, "a list of texts") if {
	is_array(value)
	every text in value {
		is_string(text)
	}
}

fits(value, form) if value in choices[form]

choices := {
	"before_tests or after_tests": ["before_tests", "after_tests"],
	"revert, config, flag or code": ["revert", "config", "flag", "code"],
	"recipe or llm": ["recipe", "llm"],
	"added, modified, deleted or renamed": ["added", "modified", "deleted", "renamed"],
	"a kind of file": ["source", "test", "config", "migration", "dependency", "contract", "ci", "other"],
}
