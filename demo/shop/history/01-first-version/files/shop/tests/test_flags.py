import json

from shop.flags import Client


def write(path, **flags):
    path.write_text(json.dumps({"flags": flags}), encoding="utf-8")


def flag(variant, state="ENABLED"):
    return {"state": state, "variants": {"on": True, "off": False}, "defaultVariant": variant}


def test_a_flag_has_the_value_of_its_default_variant(tmp_path):
    path = tmp_path / "flags.json"
    write(path, a=flag("on"), b=flag("off"), c=flag("on", "DISABLED"))
    client = Client(path)
    assert client.get_boolean_value("a", False) is True
    assert client.get_boolean_value("b", True) is False
    assert client.get_boolean_value("c", False) is False
    assert client.get_boolean_value("unknown", True) is True


def test_a_flag_is_switched_without_a_restart_and_survives_a_broken_file(tmp_path):
    path = tmp_path / "flags.json"
    write(path, a=flag("off"))
    client = Client(path)
    assert client.get_boolean_value("a", True) is False
    write(path, a=flag("on"), other=flag("off"))
    assert client.get_boolean_value("a", False) is True
    path.write_text("{", encoding="utf-8")
    assert client.get_boolean_value("a", False) is True
    path.unlink()
    assert client.get_boolean_value("a", False) is True


def test_a_value_of_another_type_is_the_default(tmp_path):
    path = tmp_path / "flags.json"
    write(path, a={"state": "ENABLED", "variants": {"on": "yes"}, "defaultVariant": "on"})
    assert Client(path).get_boolean_value("a", False) is False
