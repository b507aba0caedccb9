"""Opens the decision and test results of a bundle with securesystemslib and holds all parts against their subjects.

Usage: verify_bundle.py BUNDLE PUBLIC_KEY_PEM. Prints the predicate as JSON; exits with 1 when anything does not fit.
"""

import base64
import hashlib
import json
import sys

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

ED25519_DER = bytes.fromhex("302a300506032b6570032100")


def fail(why):
    print(why, file=sys.stderr)
    sys.exit(1)


with open(sys.argv[1], "rb") as file:
    bundle = json.load(file)
with open(sys.argv[2], encoding="ascii") as file:
    der = base64.b64decode("".join(file.read().split("\n")[1:-2]))
if not der.startswith(ED25519_DER):
    fail("not an ed25519 key")
keyid = hashlib.sha256(der).hexdigest()
key = SSlibKey(keyid, "ed25519", "ed25519", {"public": der[len(ED25519_DER):].hex()})
envelope = Envelope.from_dict(bundle["decision"])
try:
    envelope.verify([key], 1)
except VerificationError as error:
    fail(str(error))
if envelope.payload_type != "application/vnd.in-toto+json":
    fail(envelope.payload_type)
statement = json.loads(envelope.payload)
if statement["_type"] != "https://in-toto.io/Statement/v1":
    fail(statement["_type"])

parts = {"request.json": bundle["request"].encode(), "journal.jsonl": "\n".join(bundle["journal"]).encode()}
for artifact in bundle.get("artifacts", []):
    body = artifact["body"]
    encoded = body.startswith("base64,")
    parts[artifact["name"]] = base64.b64decode(body[len("base64,"):]) if encoded else body.encode()
for result in bundle.get("test_results", []):
    envelope = Envelope.from_dict(result)
    try:
        envelope.verify([key], 1)
    except VerificationError as error:
        fail(str(error))
    result = json.loads(envelope.payload)
    (subject,) = result["subject"]
    found = hashlib.sha256(parts[subject["name"]]).hexdigest()
    if result["predicate"]["result"] != "PASSED" or found != subject["digest"]["sha256"]:
        fail(f"the test result of {subject['name']}")
for subject in statement["subject"]:
    found = hashlib.sha256(parts.pop(subject["name"])).hexdigest()
    if found != subject["digest"]["sha256"]:
        fail(f"{subject['name']}: {found}")
if parts:
    fail(f"not signed: {list(parts)}")
head = bytes(32)
for entry in bundle["journal"]:
    head = hashlib.sha256(head + entry.encode()).digest()
if head.hex() != statement["predicate"]["head"]:
    fail("the chain ends elsewhere")
print(json.dumps(statement["predicate"]))
