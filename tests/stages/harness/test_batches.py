from stages.harness.batches import batches


def test_runs_end_with_the_item_that_reaches_the_limit_or_with_the_most() -> None:
    items = ["aa", "b", "", "cccc", "d", "e", "f"]
    assert list(batches(items, 3, len)) == [["aa", "b"], ["", "cccc"], ["d", "e", "f"]]
    assert list(batches(items, 3, len, most=2)) == [["aa", "b"], ["", "cccc"], ["d", "e"], ["f"]]
    assert list(batches([], 3, len)) == []


def test_a_run_is_given_before_more_is_read() -> None:
    read = []

    def items() -> object:
        for item in "abc":
            read.append(item)
            yield item

    stream = batches(items(), 1, len)
    assert next(stream) == ["a"] and read == ["a"]
