package backtrail.patch

deny contains {"rule": "shop.docs", "msg": "documents are not patched", "path": "diff.files"} if {
	some file in input.diff.files
	file.path matches "^docs/"
}
