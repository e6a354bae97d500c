from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearir.support import languages
from clearir.support.errors import InputError

# The languages of FLORES-200 / NLLB-200.
FLORES_CODES = """
ace_Arab ace_Latn acm_Arab acq_Arab aeb_Arab afr_Latn ajp_Arab aka_Latn amh_Ethi apc_Arab arb_Arab ars_Arab ary_Arab
arz_Arab asm_Beng ast_Latn awa_Deva ayr_Latn azb_Arab azj_Latn bak_Cyrl bam_Latn ban_Latn bel_Cyrl bem_Latn ben_Beng
bho_Deva bjn_Arab bjn_Latn bod_Tibt bos_Latn bug_Latn bul_Cyrl cat_Latn ceb_Latn ces_Latn cjk_Latn ckb_Arab crh_Latn
cym_Latn dan_Latn deu_Latn dik_Latn dyu_Latn dzo_Tibt ell_Grek eng_Latn epo_Latn est_Latn eus_Latn ewe_Latn fao_Latn
fij_Latn fin_Latn fon_Latn fra_Latn fur_Latn fuv_Latn gaz_Latn gla_Latn gle_Latn glg_Latn grn_Latn guj_Gujr hat_Latn
hau_Latn heb_Hebr hin_Deva hne_Deva hrv_Latn hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn jav_Latn
jpn_Jpan kab_Latn kac_Latn kam_Latn kan_Knda kas_Arab kas_Deva kat_Geor kaz_Cyrl kbp_Latn kea_Latn khk_Cyrl khm_Khmr
kik_Latn kin_Latn kir_Cyrl kmb_Latn kmr_Latn knc_Arab knc_Latn kon_Latn kor_Hang lao_Laoo lij_Latn lim_Latn lin_Latn
lit_Latn lmo_Latn ltg_Latn ltz_Latn lua_Latn lug_Latn luo_Latn lus_Latn lvs_Latn mag_Deva mai_Deva mal_Mlym mar_Deva
min_Latn mkd_Cyrl mlt_Latn mni_Beng mos_Latn mri_Latn mya_Mymr nld_Latn nno_Latn nob_Latn npi_Deva nso_Latn nus_Latn
nya_Latn oci_Latn ory_Orya pag_Latn pan_Guru pap_Latn pbt_Arab pes_Arab plt_Latn pol_Latn por_Latn prs_Arab quy_Latn
ron_Latn run_Latn rus_Cyrl sag_Latn san_Deva sat_Olck scn_Latn shn_Mymr sin_Sinh slk_Latn slv_Latn smo_Latn sna_Latn
snd_Arab som_Latn sot_Latn spa_Latn als_Latn srd_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn szl_Latn tam_Taml
taq_Latn taq_Tfng tat_Cyrl tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi tpi_Latn tsn_Latn tso_Latn tuk_Latn tum_Latn
tur_Latn twi_Latn tzm_Tfng uig_Arab ukr_Cyrl umb_Latn urd_Arab uzn_Latn vec_Latn vie_Latn war_Latn wol_Latn xho_Latn
ydd_Hebr yor_Latn yue_Hant zho_Hans zho_Hant zsm_Latn zul_Latn
"""
FLORES = FLORES_CODES.split()
MACROLANGUAGES = "zh ar no fa sw ms et lv uz mn ne om az ku ps yi mg sq or ay kr"


@pytest.mark.parametrize(
    ("spellings", "one"),
    [
        ("sw swa swh swh_Latn sw-TZ SW", "sw"),
        ("zh zho cmn zh_CN zh-Hans zho_Hans zh-SG", "zh"),
        ("zho_Hant zh-TW zh_HK zh-Hant-HK", "zh-Hant"),
        ("pt por pt-PT por_Latn", "pt"),
        ("pt_BR pt-br", "pt-BR"),
        ("ar ara arb arb_Arab", "ar"),
        ("ary ary_Arab", "ary"),
        ("en eng eng_Latn en_US", "en"),
        ("en-GB", "en-GB"),
        ("fa pes_Arab fas per", "fa"),
        ("sr srp_Cyrl", "sr"),
        ("sr-Latn sr_Latn_RS", "sr-Latn"),
        ("de ger deu de_DE", "de"),
        ("no nor nb nob nob_Latn nb-NO no-NO", "no"),
        ("nn nno nno_Latn", "nn"),
        ("et est ekk est_Latn", "et"),
        ("lv lav lvs lvs_Latn", "lv"),
        ("ms msa may zsm zsm_Latn", "ms"),
        ("uz uzb uzn uzn_Latn", "uz"),
        ("mn mon khk khk_Cyrl", "mn"),
        ("ne nep npi npi_Deva", "ne"),
        ("om orm gaz gaz_Latn", "om"),
        ("az aze azj azj_Latn", "az"),
        ("ku kur kmr kmr_Latn", "ku"),
        ("ps pus pbu pbt pbt_Arab", "ps"),
        ("yi yid ydd ydd_Hebr", "yi"),
        ("mg mlg plt plt_Latn", "mg"),
        ("sq sqi alb als als_Latn", "sq"),
        ("bem", "bem"),
        ("hau", "ha"),
        ("ibo", "ig"),
        ("kin", "rw"),
        ("twi tw", "tw"),
        ("yor", "yo"),
        ("zul", "zu"),
        ("fon", "fon"),
    ],
)
def test_many_spellings_are_one(spellings: str, one: str) -> None:
    assert {languages.normalise(code) for code in spellings.split()} == {one}


def test_no_two_languages_of_flores_become_one() -> None:
    assert len({languages.normalise(code) for code in FLORES}) == len(FLORES)


@pytest.mark.parametrize("code", FLORES)
def test_the_one_spelling_stays_as_it_is_and_finds_its_way_back(code: str) -> None:
    one = languages.normalise(code)
    assert languages.normalise(one) == one
    assert languages.match(one, FLORES) == code


@pytest.mark.parametrize("code", MACROLANGUAGES.split())
def test_a_macrolanguage_finds_its_usual_member_and_the_member_the_macrolanguage(code: str) -> None:
    member = languages.match(code, FLORES)
    assert member is not None
    assert languages.match(member, ["en", code]) == code


def test_members_are_spellings_too() -> None:
    assert {languages.normalise(code) for code in languages.members("no")} == {"no"}
    assert "nb" in languages.members("no")
    assert languages.members("de") == []


def test_match_passes_over_what_is_no_code() -> None:
    assert languages.match("swa", ["<pad>", "", "en_XX", "sw_KE", "sw"]) == "sw"
    assert languages.match("yo", ["eng_Latn", "swh_Latn"]) is None


def test_names() -> None:
    assert languages.name("swh_Latn") == "Swahili"
    assert languages.name("twi") == "Twi"
    assert languages.name("pt_BR") == "Portuguese (Brazil)"
    assert languages.name("nob_Latn") == "Norwegian"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("english", r"unknown language code 'english'; did you mean 'en' \(English\)\?"),
        ("Swaheli", r"did you mean 'sw' \(Swahili\)\?"),
        ("Deutsch", r"did you mean 'de' \(German\)\?"),
        ("en_US.UTF-8", r"did you mean 'en' \(English\)\?"),
        ("xx", r"unknown language code 'xx'; write a BCP-47"),
        ("", r"unknown language code ''; write"),
        ("   ", r"unknown language code '   '; write"),
        ("und", r"unknown language code 'und'; write"),
        ("a" * 1000, r"unknown language code 'a{40} \.\.\.'; write"),
        ("A\0 0000", r"unknown language code"),
        ("\ud800", r"unknown language code"),
        (None, r"language code None is not text; write"),
        (7, r"language code 7 is not text"),
        ([], r"language code \[\] is not text"),
    ],
)
def test_unknown_codes_are_refused_with_a_way_out(code: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        languages.normalise(code)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=12) | st.from_regex(r"[a-zA-Z]{1,9}([-_][a-zA-Z0-9]{1,9}){0,3}", fullmatch=True))
def test_any_text_is_a_code_or_an_input_error(code: str) -> None:
    try:
        one = languages.normalise(code)
    except InputError:
        return
    assert languages.normalise(one) == one
    assert languages.name(one)


def test_a_name_or_the_code_itself() -> None:
    assert languages.language_name("sw") == "Swahili"
    assert languages.language_name("<b>") == "<b>"
