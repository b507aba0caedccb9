# Changed code shows in telemetry whether it does what it claims: the rollout is judged by that.
package backtrail.patch

deny contains {"rule": "observability.span_attrs", "msg": msg, "path": "observability.span_attrs_added"} if {
	is_code
	some name in input.observability.required
	not name in input.observability.span_attrs_added
	msg := sprintf("the span attribute %s is not set by the new code", [name])
}

deny contains {"rule": "observability.span_attrs", "msg": msg, "path": "observability.span_attrs_added"} if {
	is_code
	count(input.observability.span_attrs_added) == 0
	msg := "the new code sets no span attribute"
}

deny contains {"rule": "observability.counter", "msg": msg, "path": "observability.counters_added"} if {
	is_code
	input.observability.counters_added < 1
	msg := "the new code counts nothing"
}
