from tools.mutation import score

RESULTS = [
    "    counterweight.metrics.platt.x_platt_threshold__mutmut_1: killed",
    "    counterweight.metrics.platt.x_platt_threshold__mutmut_2: survived",
    "    counterweight.metrics.platt.x_platt_threshold__mutmut_3: survived",
    "    counterweight.metrics.platt.x_other__mutmut_1: timeout",
    "    counterweight.metrics.platt.x_other__mutmut_2: no tests",
    "    counterweight.sheets.xlsx_validation.xǁ_CellErrorsǁend__mutmut_1: survived",
]


def test_mutants_that_a_test_noticed_are_counted_and_the_others_are_named_the_most_first() -> None:
    assert score(RESULTS) == [
        "6 mutants, 2 noticed (33.3 %)",
        "   2 survived in counterweight.metrics.platt.platt_threshold",
        "   1 survived in counterweight.metrics.platt.other",
        "   1 survived in counterweight.sheets.xlsx_validation._CellErrors.end",
    ]


def test_no_mutants_are_no_score() -> None:
    assert score([]) == ["0 mutants, 0 noticed (0.0 %)"]
