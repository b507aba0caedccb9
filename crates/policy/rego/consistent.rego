# Numbers that contradict each other come from a fault in whoever computed them, and the other rules trust them.
package backtrail.patch

deny contains {"rule": "consistent", "msg": msg, "path": "diff.line_count"} if {
	input.diff.line_count != input.diff.added + input.diff.removed
	msg := sprintf(
		"%d lines stated, %d added and %d removed",
		[input.diff.line_count, input.diff.added, input.diff.removed],
	)
}

deny contains {"rule": "consistent", "msg": msg, "path": "diff.added"} if {
	total := sum([file.added | some file in input.diff.files])
	input.diff.added != total
	msg := sprintf("%d added lines stated, the files have %d", [input.diff.added, total])
}

deny contains {"rule": "consistent", "msg": msg, "path": "diff.removed"} if {
	total := sum([file.removed | some file in input.diff.files])
	input.diff.removed != total
	msg := sprintf("%d removed lines stated, the files have %d", [input.diff.removed, total])
}

deny contains {"rule": "consistent", "msg": msg, "path": path} if {
	some i, file in input.diff.files
	file.status == "renamed"
	file.old_path == null
	path := sprintf("diff.files[%d].old_path", [i])
	msg := sprintf("%s is renamed, from nowhere", [file.path])
}

deny contains {"rule": "consistent", "msg": msg, "path": "tests.added_count"} if {
	input.tests.added_count != count(input.tests.added)
	msg := sprintf("%d added tests stated, %d named", [input.tests.added_count, count(input.tests.added)])
}
