import pytest

from shop import settings


def test_sections_hold_numbers_truth_values_and_text():
    text = "# of the bank\nbank:\n  timeout_ms: 400  # milliseconds\n  ratio: 0.1\n  eager: true\n  name: 'first bank'\n"
    assert settings.parse(text) == {"bank": {"timeout_ms": 400, "ratio": 0.1, "eager": True, "name": "first bank"}}


@pytest.mark.parametrize("text", ["  early: 1\n", "bank: 5\n", "bank\n"])
def test_what_is_no_section_is_named_with_its_line(text):
    with pytest.raises(ValueError, match="line 1"):
        settings.parse(text)


@pytest.mark.parametrize("service", ["gateway", "orders", "payments", "bank"])
def test_every_service_has_settings(service):
    assert settings.load(service)
