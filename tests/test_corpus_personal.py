"""What is taken for personal data and what is not, by kind: ways to write it, code, citations, tables."""

import random

import pytest

from tokenworth.corpus import redact

IBANS = ["DE89370400440532013000", "BE71096123456769", "AT611904300234573201", "ES9121000418450200051332",
         "PL61109010140000071219812874", "GB82WEST12345698765432", "NO9386011117947",
         "MT84MALT011000012345MTLCAST001S"]  # fmt: skip


def types_in(text):
    return [(one.type, text[one.start : one.end]) for one in redact(text)[1]]


def grouped(iban, gap):
    return gap.join(iban[i : i + 4] for i in range(0, len(iban), 4))


@pytest.mark.parametrize("gap", ["", " ", "-", "\u00a0"])
@pytest.mark.parametrize("iban", IBANS)
def test_an_iban_is_found_in_every_way_it_is_written(iban, gap):
    written = grouped(iban, gap)
    for text in (f"to {written}.", f"to {written.lower()}.", f"{written} BIC COBADEFFXXX", f"IBAN: {written} EUR 20"):
        found = types_in(text)
        assert found[:1] == [("IBAN", written if written in text else written.lower())], text
        assert "COBADEFF" not in "".join(value for _, value in found)


def test_a_wrong_check_digit_or_length_is_no_iban():
    assert types_in("to DE88370400440532013000 or DE8937040044053201300 now") == []


def slow_luhn(digits):
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value if value < 10 else value - 9
    return total % 10 == 0


def test_a_card_number_is_one_by_its_check_digit():
    rng = random.Random(0)
    for _ in range(300):
        digits = "4" + "".join(rng.choices("0123456789", k=15))
        assert (types_in(f"paid {digits} today") == [("CARD", digits)]) == slow_luhn(digits)


@pytest.mark.parametrize(
    "number",
    ["630427373398", "501864667909", "180016070420458", "060426070011", "3522235032377454",
     "36227206271667", "2223000048400011"],
)  # fmt: skip
def test_cards_of_all_lengths_where_a_word_says_so(number):
    assert slow_luhn(number)
    assert types_in(f"I have lost my card {number} yesterday") == [("CARD", number)]
    assert types_in(f"What is your credit card? {number}") == [("CARD", number)]


@pytest.mark.parametrize(
    "code",
    ["rng = default_rng(4220315081820346526)", "seed = 3562050283508273023", "x = [4202165767276, 5]",
     "f(a,2435908729190400)"],
)  # fmt: skip
def test_a_seed_is_no_card(code):
    assert types_in(code) == []


def test_a_card_in_brackets_is_one():
    assert types_in("on file (4111111111111111) since May") == [("CARD", "4111111111111111")]


# --- phone numbers


def test_examples_of_every_country_are_found_as_they_are_dialled_from_abroad():
    """The example numbers of the numbering plans (phonenumbers), fixed and mobile, in three international forms."""
    import phonenumbers

    missed, tried = [], 0
    for region in phonenumbers.SUPPORTED_REGIONS:
        for kind in (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE):
            number = phonenumbers.example_number_for_type(region, kind)
            if number is None or len(str(number.national_number)) < 5:
                continue
            plain = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
            for written in (plain, plain.replace(" ", "-"), plain.replace("+", "00")):
                tried += 1
                if types_in(f"Her number was {written}, she said") != [("PHONE", written)]:
                    missed.append(written)
    assert tried > 1000
    assert len(missed) < 0.02 * tried, missed  # islands of five and six digits


@pytest.mark.parametrize(
    "written",
    ["07700 063 966", "0494 92 82 32", "(37) 788-063", "699 956 915", "467 3395", "71-33-52-22", "9472 7916",
     "01.84.17.61.18", "5403926876", "259.735.7502x459", "+1-903-140-4508x769"],
)  # fmt: skip
@pytest.mark.parametrize(
    "said", ["Call me at {}.", "Phone: {}", "messages to {} please", "reach us on {}", "{} office", "{}-Fax"]
)
def test_local_numbers_are_found_where_a_word_says_what_they_are(written, said):
    assert types_in(said.format(written)) == [("PHONE", written)]


@pytest.mark.parametrize(
    "written", ["01 84 17 61 18", "020 7946 0958", "056 590 36 33", "(212) 555-0187", "212.555.0187"]
)
def test_numbers_written_as_their_country_writes_them_need_no_word(written):
    assert types_in(f"It was {written} then.") == [("PHONE", written)]


@pytest.mark.parametrize(
    "text",
    ["at +52.520008, +13.404954", "J. Phys. (2004) 431 931-945", "in office 1973\u20131980", "work (1990-2014)",
     "206.766 9877", "1.648 777 2536 e-41", "483 597.8525 GHz", "12 345 678 people", "2021-03-04", "pages 1234-1240",
     "ratio 931.494 0954", "timestamp 0010150847", "6 + 98172489"],
)  # fmt: skip
def test_decimals_coordinates_citations_and_years_are_no_phone_numbers(text):
    assert types_in(text) == []


# --- addresses


@pytest.mark.parametrize(
    "code",
    ["values[::2]", "x[1::2, ::3]", "a::b", "std::decay::c", "fe::ed", "dead::beef", "d[0::5]", "12:34:56", "b::1",
     "Release ID 13.0.0.0", "[3.3.2.4]^1", "Handbook, 7.4.7.1. Tukey", "v1.2.3.4", "00:1b:44:11:3a:b7"],
)  # fmt: skip
def test_code_and_sections_hold_no_addresses(code):
    assert types_in(code) == []


@pytest.mark.parametrize(
    "address",
    ["2001:db8::8a2e:370:7334", "6e40:4041:c617:e898:c11:40d2:c669:2eb4", "fe80::1", "fd12:3456:789a::1", "ff02::1",
     "192.168.0.1", "10.1.2.3", "172.16.5.4", "8.8.8.8", "83.12.7.250"],
)  # fmt: skip
def test_addresses_are_found(address):
    assert types_in(f"from {address} today") == [("IP", address)]
    assert types_in(f"It was {address} then") == [("IP", address)]


def test_the_package_s_own_code_is_left_as_it_is():
    from pathlib import Path

    import tokenworth

    for file in Path(tokenworth.__file__).parent.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert redact(text, ["PHONE", "CARD", "IBAN", "SSN"])[0] == text, file
