# After the tests ran: new code is proven by new tests that fail without it, and nothing else got worse.
package backtrail.patch

deny contains {"rule": "tests.added", "msg": "no test is added for changed code", "path": "tests.added_count"} if {
	after_tests
	is_code
	input.tests.added_count < 1
}

deny contains {"rule": "tests.failing_before", "msg": msg, "path": "tests.failing_before"} if {
	after_tests
	is_code
	input.tests.failing_before != input.tests.added_count
	msg := sprintf(
		"%d of %d added tests fail on the old code: the others would pass without the patch",
		[input.tests.failing_before, input.tests.added_count],
	)
}

deny contains {"rule": "tests.passing_after", "msg": msg, "path": "tests.passing_after"} if {
	after_tests
	is_code
	input.tests.passing_after != input.tests.added_count
	msg := sprintf("%d of %d added tests pass", [input.tests.passing_after, input.tests.added_count])
}

deny contains {"rule": "tests.repeats", "msg": msg, "path": "tests.repeats"} if {
	after_tests
	is_code
	input.tests.repeats < 5
	msg := sprintf("the added tests ran %d times, 5 are needed", [input.tests.repeats])
}

deny contains {"rule": "tests.flaky", "msg": msg, "path": "tests.flaky"} if {
	after_tests
	input.tests.flaky > 0
	msg := sprintf("%d tests pass at times", [input.tests.flaky])
}

deny contains {"rule": "tests.newly_failing", "msg": msg, "path": path} if {
	after_tests
	some i, name in input.tests.newly_failing
	path := sprintf("tests.newly_failing[%d]", [i])
	msg := sprintf("%s passed before and fails now", [name])
}

deny contains {"rule": "tests.newly_failing", "msg": msg, "path": "tests.suite_after.failed"} if {
	after_tests
	input.tests.suite_after.failed > input.tests.suite_before.failed
	msg := sprintf(
		"%d tests fail, %d failed before",
		[input.tests.suite_after.failed, input.tests.suite_before.failed],
	)
}

# A revert takes the tests of what it reverts with it.
deny contains {"rule": "tests.changed", "msg": msg, "path": path} if {
	after_tests
	not is_revert
	some i, name in input.tests.changed_or_removed
	path := sprintf("tests.changed_or_removed[%d]", [i])
	msg := sprintf("%s existed and is changed or removed", [name])
}

deny contains {"rule": "tests.changed", "msg": msg, "path": "tests.suite_after"} if {
	after_tests
	not is_revert
	before := input.tests.suite_before.passed + input.tests.suite_before.failed
	after := input.tests.suite_after.passed + input.tests.suite_after.failed
	after < before
	msg := sprintf("%d tests ran, %d ran before", [after, before])
}
