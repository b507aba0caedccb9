set -eu
out=.hidden/build
rm -rf "$out"
mkdir -p "$out"
javac -nowarn -d "$out" $(find java -name '*.java') .hidden/Behaviour.java
java -cp "$out" Behaviour
