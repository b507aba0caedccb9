#!/usr/bin/env bash
# Examines the examination: for each case the repository is made from `history/`; its own tests must pass at the head
# and the hidden test must fail there, with the text of `head-says.txt` in its output.
#   check.sh [CASE...]            all cases, or those that are named
#   CHECK_PATCH=DIR check.sh      also applies each DIR/CASE/fix*.patch (own tests and hidden must pass)
#                                 and each DIR/CASE/wrong*.patch (hidden must fail)
# Exit codes: 0 all of it holds, 1 something does not, 2 a case is malformed or a tool is missing. Repositories are
# made below a temporary folder that is removed at the end.
set -euo pipefail

cases=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/backtrail-cases.XXXXXX")
trap 'rm -rf "$work"' EXIT

# history HISTORY_DIR REPOSITORY: one commit a folder, in order; who and when are part of COMMIT, so that the hashes
# are the same on every machine.
history() {
    local commit author date name mail
    mkdir -p "$2"
    git_quiet "$2" init -q -b main
    for commit in "$1"/*/; do
        if [ -f "$commit/DELETED" ]; then
            while read -r file; do [ -z "$file" ] || rm -f -- "$2/$file"; done <"$commit/DELETED"
        fi
        [ ! -d "$commit/files" ] || cp -r "$commit/files/." "$2"
        author=$(sed -n 's/^Author: //p' "$commit/COMMIT" | head -n 1)
        date=$(sed -n 's/^Date: //p' "$commit/COMMIT" | head -n 1)
        name=${author%% <*}
        mail=${author##*<}
        mail=${mail%>}
        sed '1,/^$/d' "$commit/COMMIT" >"$work/message"
        git_quiet "$2" -c core.autocrlf=false add -A
        GIT_AUTHOR_NAME=$name GIT_AUTHOR_EMAIL=$mail GIT_AUTHOR_DATE=$date \
            GIT_COMMITTER_NAME=$name GIT_COMMITTER_EMAIL=$mail GIT_COMMITTER_DATE=$date \
            git_quiet "$2" -c commit.gpgsign=false commit -q -F "$work/message"
    done
}

git_quiet() {
    local repository=$1
    shift
    GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null git -C "$repository" "$@"
}

# words CASE KEY: the list behind `KEY:` in case.yaml, one word a line. The lists are flow sequences of plain or
# double-quoted words without commas in them.
words() {
    sed -n "s/^$2: \[\(.*\)\]\$/\1/p" "$cases/$1/case.yaml" | tr ',' '\n' |
        sed -e 's/^ *//' -e 's/ *$//' -e 's/^"\(.*\)"$/\1/'
}

# passes CASE KEY REPOSITORY: runs the command in the repository; its output is kept for the report.
passes() {
    local argv
    mapfile -t argv < <(words "$1" "$2")
    [ "${#argv[@]}" -gt 0 ] || { echo "error: $1/case.yaml has no list '$2'" >&2; exit 2; }
    command -v "${argv[0]}" >/dev/null || { echo "error: $1 needs '${argv[0]}', which is not installed" >&2; exit 2; }
    if [ "$2" = hidden ]; then
        rm -rf "$3/.hidden"
        cp -r "$cases/$1/hidden" "$3/.hidden"
    fi
    (cd "$3" && timeout 120 "${argv[@]}") >"$work/output" 2>&1 </dev/null
}

# Bytecode is looked up by whole seconds and size: two patches within a second must not see one another.
export PYTHONDONTWRITEBYTECODE=1

failed=0
complain() {
    failed=1
    echo "FAIL $1: $2"
    tail -n "${CHECK_LINES:-25}" "$work/output" | sed 's/^/    /'
}

check() {
    local repository=$work/$1
    history "$cases/$1/history" "$repository"
    passes "$1" tests "$repository" || complain "$1" "the repository's own tests fail at the head"
    rm -rf "$repository/.hidden"
    if passes "$1" hidden "$repository"; then
        complain "$1" "the hidden test passes at the head"
    elif ! grep -qF -f "$cases/$1/head-says.txt" "$work/output"; then
        # A test that does not even compile fails as well, and would prove nothing.
        complain "$1" "the hidden test fails at the head for another reason than head-says.txt"
    fi
    [ -z "${CHECK_PATCH:-}" ] || patches "$1" "$repository"
}

patches() {
    local patch
    for patch in "$CHECK_PATCH/$1"/fix*.patch "$CHECK_PATCH/$1"/wrong*.patch; do
        [ -f "$patch" ] || continue
        rm -rf "$2/.hidden"
        git_quiet "$2" reset -q --hard
        git_quiet "$2" clean -fdq
        git_quiet "$2" apply "$patch"
        case ${patch##*/} in
        fix*)
            passes "$1" tests "$2" || complain "$1" "the repository's own tests fail with ${patch##*/}"
            passes "$1" hidden "$2" || complain "$1" "the hidden test fails with ${patch##*/}"
            ;;
        wrong*)
            passes "$1" tests "$2" || echo "   $1: own tests refuse ${patch##*/} as well"
            ! passes "$1" hidden "$2" || complain "$1" "the hidden test passes with ${patch##*/}" ;;
        esac
        echo "   $1: ${patch##*/} judged as expected or reported above"
    done
}

[ "$#" -gt 0 ] || { cd "$cases"; set -- */; }
for case in "$@"; do
    case=${case%/}
    started=$SECONDS
    check "$case"
    echo "done $case ($((SECONDS - started)) s)"
    rm -rf "${work:?}/$case"
done
exit "$failed"
