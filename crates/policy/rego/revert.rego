# The way back is proven before the way forward: apply, then revert, gives the tree from before.
package backtrail.patch

deny contains {"rule": "revert.proof", "msg": msg, "path": "revert_proof.tree_after_revert"} if {
	input.revert_proof.tree_before != input.revert_proof.tree_after_revert
	msg := sprintf(
		"the revert gives tree %s, not %s",
		[input.revert_proof.tree_after_revert, input.revert_proof.tree_before],
	)
}
