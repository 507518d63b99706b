"""What of a notebook is on which slide."""

from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from shl_utils.reporting import slides


def test_a_long_text_is_on_several_slides_under_its_heading():
    first, second, third = (letter * 400 for letter in "abc")
    cells = [new_markdown_cell(f"## Training\n\n{first}\n\n{second}\n\n{third}")]
    shown = [cell.source for cell in slides.shown(cells)]
    assert shown == [f"## Training\n\n{first}\n\n{second}", f"## Training\n\n{third}"]
    whole = f"## Training\n\n{'d' * slides.LONG}"
    assert [cell.source for cell in slides.shown([new_markdown_cell(whole)])] == [whole], "no heading by itself"
    cells = [new_markdown_cell(text) for text in (f"## Training\n\n{first}", second, third)]
    kinds = [cell.metadata["slideshow"]["slide_type"] for cell in slides.as_slides(list(slides.shown(cells)))]
    assert kinds == ["slide", "-", "subslide"]


def test_a_question_is_on_a_slide_before_its_answer_and_no_lead_is_left_alone():
    answered = new_output("execute_result", {"text/html": "<div>97</div>"}, metadata={"answered": True})
    cells = [
        new_markdown_cell("# T\n\n| | |\n|---|---|\n| Reads | x |\n\n*Before you run on:* how many?"),
        new_code_cell("guess", metadata={"tags": ["exercise"]}),
        new_code_cell("recall", metadata={"tags": ["exercise"]}, outputs=[answered]),
        new_code_cell("plot", outputs=[new_output("display_data", {"image/png": "x"})]),
        new_markdown_cell("Not so.\n\n## Others"),
        new_markdown_cell("What others would do:"),
        new_code_cell("print(1)", outputs=[new_output("stream", text="1")]),
        new_markdown_cell("## Exercises\n\n1. What?"),
        new_code_cell("check"),
    ]
    found = slides.as_slides(list(slides.shown(cells)))
    marks = [(cell.source, cell.metadata["slideshow"]["slide_type"]) for cell in found]
    assert marks == [
        ("# T", "slide"),
        ("**How many?**", "subslide"),
        ("### T", "subslide"),
        ("recall", "-"),
        ("### T", "subslide"),
        ("plot", "-"),
        ("Not so.", "subslide"),
        ("## Others", "slide"),
        ("What others would do:", "skip"),
        ("print(1)", "skip"),
    ]
