package backtrail.patch

deny contains {"rule": "shop.folder", "msg": "a file is outside of the bank adapter", "path": "diff.files"} if {
	not in_scope
}

in_scope if {
	startswith(input.diff.files[_].path, "services/payments/bank/")
}
