from counterweight.base.describing import described, params_of


def test_a_section_is_taken_apart_and_a_single_param_is_taken_as_it_is() -> None:
    assert list(params_of("Split.\n\nParams  split, data.columns, augment.quality.min_std\n")) == [
        "split.format",
        "data.columns.image",
        "data.columns.split",
        "data.columns.labels",
        "augment.quality.min_std",
    ]


def test_words_that_are_no_section_name_no_param() -> None:
    assert list(params_of("Params  fill, and all others, which the page lists\n")) == ["fill.validation", "fill.seed"]


def test_lists_of_params_and_variables_follow_the_docstring() -> None:
    doc = "Fill.\n\nReads   a.csv\nParams  fill.seed\nObeys   COUNTERWEIGHT_CACHE,\n        TORCH_HOME\n"
    assert described(doc).splitlines() == [
        "Fill.",
        "",
        "Reads   a.csv",
        "Params  fill.seed",
        "",
        "Params, from params.yaml:",
        "fill.seed  seed of that part",
        "",
        "Environment variables, which change the speed alone:",
        "COUNTERWEIGHT_CACHE  folder of finished work; by default .counterweight",
        "TORCH_HOME  where downloaded weights are kept; by default PyTorch's own folder",
    ]


def test_a_stage_without_params_and_variables_has_its_docstring_alone() -> None:
    assert described("Compare.\n\nReads   a.csv\n") == "Compare.\n\nReads   a.csv"
