package backtrail.patch

deny contains {"rule": "shop.folder", "msg": "a file is outside of the bank adapter", "path": "diff.files"} if {
	not in_scope
}

in_scope if {
	every file in input.diff.files {
		startswith(file.path, "services/payments/bank/")
	}
}
