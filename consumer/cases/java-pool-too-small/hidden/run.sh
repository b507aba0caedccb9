set -eu
out=.hidden/build
rm -rf "$out"
mkdir -p "$out"
javac -nowarn -d "$out" $(find src/main -name '*.java') .hidden/Behaviour.java
java -cp "$out" Behaviour
