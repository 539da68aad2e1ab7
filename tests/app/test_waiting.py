"""Progress, the queue, and ways to end what takes long."""

import io

import numpy as np
from PIL import Image

BUFFER = io.BytesIO()
Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(BUFFER, "PNG")
PICTURE = BUFFER.getvalue()


def test_progress_is_shown_a_second_visitor_waits_and_either_may_cancel(launched, visit, held):
    address = launched({"toy": held})
    first, second, third = visit(address), visit(address), visit(address)
    first.give(PICTURE)
    first.start()
    bar = first.page.get_by_role("progressbar", name="Restoring")
    first.page.get_by_text("Restoring 50%").wait_for()
    assert bar.get_attribute("value") == "0.500"
    for place, visitor in ((1, second), (2, third)):
        visitor.give(PICTURE)
        visitor.start()
        visitor.page.get_by_text(f"Place {place} in the queue").wait_for()
    second.page.get_by_role("button", name="Cancel").click()
    assert second.complaint() == "Cancelled; the photo is unchanged."
    third.page.get_by_text("Place 1 in the queue: 1 photo is ahead of yours.").wait_for()
    assert first.page.get_by_role("button", name="Restore").is_disabled()
    first.page.get_by_role("button", name="Cancel").click()
    assert first.complaint() == "Cancelled; the photo is unchanged."
    assert held.stopped.wait(10)
    held.release.set()
    third.page.get_by_role("status").get_by_text("Done in").wait_for()
    second.restore()
    assert second.page.get_by_role("button", name="Cancel").is_disabled()


def test_whoever_leaves_is_waited_for_no_longer(launched, visit, held):
    visitor = visit(launched({"toy": held}))
    visitor.give(PICTURE)
    visitor.start()
    assert held.started.wait(10)
    visitor.page.close()
    assert held.stopped.wait(20)


def test_a_mistake_of_ours_is_a_sentence_and_the_page_goes_on(launched, visit, held, caplog):
    held.release.set()
    visitor = visit(launched({"toy": held}))
    visitor.give(PICTURE)
    held.restore_batch = lambda *_args, **_options: 1 / 0
    visitor.start()
    assert visitor.complaint() == "internal server error; see the server's log"
    assert "ZeroDivisionError" in caplog.text
    del held.restore_batch
    visitor.restore()


def test_so_is_one_that_the_page_itself_makes(launched, visit, held, caplog, monkeypatch):
    held.release.set()
    visitor = visit(launched({"toy": held}))
    visitor.give(PICTURE)
    monkeypatch.setattr("diffir.app.page.shown_of", lambda *_: 1 / 0)
    visitor.start()
    assert visitor.complaint() == "internal server error; see the server's log"
    assert "ZeroDivisionError" in caplog.text
    monkeypatch.undo()
    visitor.restore()
