# A small patch can be reviewed in a minute, and reverted without thought.
package backtrail.patch

deny contains {"rule": "size.lines", "msg": msg, "path": "diff.line_count"} if {
	input.diff.line_count > input.limits.max_lines
	msg := sprintf("%d changed lines, at most %d", [input.diff.line_count, input.limits.max_lines])
}

deny contains {"rule": "size.files", "msg": msg, "path": "diff.files"} if {
	count(input.diff.files) > input.limits.max_files
	msg := sprintf("%d files, at most %d", [count(input.diff.files), input.limits.max_files])
}

deny contains {"rule": "size.functions", "msg": msg, "path": "diff.functions_changed"} if {
	input.diff.functions_changed > input.limits.max_functions
	msg := sprintf("%d changed functions, at most %d", [input.diff.functions_changed, input.limits.max_functions])
}

deny contains {"rule": "size.noop", "msg": msg, "path": "diff.noop_hunks"} if {
	input.diff.noop_hunks > 0
	msg := sprintf("%d hunks remove lines and add the same again", [input.diff.noop_hunks])
}

deny contains {"rule": "size.empty", "msg": "the patch changes nothing", "path": "diff.files"} if {
	count(input.diff.files) == 0
}
