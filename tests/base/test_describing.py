from counterweight.base.describing import help_text, params_of


def test_a_section_is_expanded_and_a_single_param_is_kept() -> None:
    assert list(params_of("Sheet.\n\nParams  sheet, data.columns, augment.quality.min_std\n")) == [
        "sheet.format",
        "data.columns.image",
        "data.columns.split",
        "data.columns.labels",
        "augment.quality.min_std",
    ]


def test_other_words_on_the_line_are_ignored() -> None:
    assert list(params_of("Params  impute, and all others, which the page lists\n")) == [
        "impute.validation",
        "impute.seed",
    ]


def test_lists_of_params_and_variables_follow_the_docstring() -> None:
    doc = "Impute.\n\nReads   a.csv\nParams  impute.seed\nObeys   COUNTERWEIGHT_CACHE,\n        TORCH_HOME\n"
    assert help_text(doc).splitlines() == [
        "Impute.",
        "",
        "Reads   a.csv",
        "Params  impute.seed",
        "",
        "Params, from params.yaml:",
        "impute.seed  seed of the held-out cells",
        "",
        "Environment variables, which change speed only:",
        "COUNTERWEIGHT_CACHE  folder that caches finished work; by default .counterweight",
        "TORCH_HOME  folder for downloaded weights; by default PyTorch's own",
    ]


def test_without_params_and_variables_the_help_is_the_docstring() -> None:
    assert help_text("Compare.\n\nReads   a.csv\n") == "Compare.\n\nReads   a.csv"


def test_descriptions_are_shown_without_the_backticks_of_the_docs() -> None:
    assert params_of("Params  resize.format\n") == {
        "resize.format": "file format of resized images and copies; png is lossless"
    }
