# A patch stays inside what the owner of the service owns, and changes text of ordinary files only.
package backtrail.patch

deny contains {"rule": "scope.repository", "msg": msg, "path": "patch.repository"} if {
	input.patch.repository != input.owner.repository
	msg := sprintf("the patch is for %s, the service lives in %s", [input.patch.repository, input.owner.repository])
}

# One denial for every file outside: one file inside does not excuse the others.
deny contains {"rule": "scope.path", "msg": msg, "path": path} if {
	some i, file in input.diff.files
	not inside(file.path)
	path := sprintf("diff.files[%d].path", [i])
	msg := sprintf("%s is outside of %s", [file.path, owned])
}

deny contains {"rule": "scope.path", "msg": msg, "path": path} if {
	some i, file in input.diff.files
	file.old_path != null
	not inside(file.old_path)
	path := sprintf("diff.files[%d].old_path", [i])
	msg := sprintf("%s, from where a file is moved, is outside of %s", [file.old_path, owned])
}

deny contains {"rule": "scope.symlink", "msg": msg, "path": path} if {
	some i, file in input.diff.files
	file.symlink
	path := sprintf("diff.files[%d].symlink", [i])
	msg := sprintf("%s is a symbolic link", [file.path])
}

deny contains {"rule": "scope.submodule", "msg": msg, "path": path} if {
	some i, file in input.diff.files
	file.submodule
	path := sprintf("diff.files[%d].submodule", [i])
	msg := sprintf("%s is a submodule", [file.path])
}

deny contains {"rule": "scope.mode", "msg": msg, "path": path} if {
	some i, file in input.diff.files
	file.mode_before != null
	file.mode_after != null
	file.mode_before != file.mode_after
	path := sprintf("diff.files[%d].mode_after", [i])
	msg := sprintf("%s changes its mode from %s to %s", [file.path, file.mode_before, file.mode_after])
}

# A new file has no mode to compare with: it may not be executable.
deny contains {"rule": "scope.mode", "msg": msg, "path": path} if {
	some i, file in input.diff.files
	file.mode_before == null
	file.mode_after != "100644"
	path := sprintf("diff.files[%d].mode_after", [i])
	msg := sprintf("%s is new with mode %s, not 100644", [file.path, file.mode_after])
}

deny contains {"rule": "scope.binary", "msg": msg, "path": path} if {
	some i, file in input.diff.files
	file.binary
	path := sprintf("diff.files[%d].binary", [i])
	msg := sprintf("%s is binary: nobody can review it", [file.path])
}

owned := "the repository" if input.owner.path_prefix == ""

owned := input.owner.path_prefix if input.owner.path_prefix != ""

folder := "" if input.owner.path_prefix == ""

folder := concat("", [trim_right(input.owner.path_prefix, "/"), "/"]) if input.owner.path_prefix != ""

inside(path) if {
	startswith(path, folder)
	not contains(path, "\\")
	every part in split(lower(path), "/") {
		not part in {"", ".", "..", ".git"}
	}
}
