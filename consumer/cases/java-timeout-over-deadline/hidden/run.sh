# Compiles the service and the test beside it; the repository's own build folder is left alone.
set -eu
out=.hidden/build
rm -rf "$out"
mkdir -p "$out"
find services/seats/src/main -name '*.java' >"$out/sources"
javac -nowarn -d "$out" @"$out/sources" .hidden/Behaviour.java
java -cp "$out" Behaviour services/seats/config/seats.properties
