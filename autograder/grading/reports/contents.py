"""The list at the top of a feedback page, with each question's name, and a word where nobody has marked it yet.

nbgrader calls every question "Test cell" there, and shows one that waits for a person as 0 points.
"""

from __future__ import annotations

import re

from autograder.grading.gradebook.grades import Grades

BEGIN, END = '<div id="toc">', "</div>"
TITLE = re.compile(r"(<h4>[^<]*\(Score)(: [^<]*</h4>\s*)$")
ENTRY = re.compile(r'(<a href="#(comment-)?([^"<>]+)">)[^<]*</a>( \(Score: [^()]*\))?')


def name_questions(page: str, grades: Grades) -> str:
    """The page of these grades with its list of questions made anew; a page without such a list stays as it is."""
    at = page.find(BEGIN)
    end = page.find(END, at)
    if at < 0 or end < 0:
        return page

    def named(match: re.Match[str]) -> str:
        link, comment, name, score = match.groups()
        question = name.removesuffix("-check")
        if comment:
            return f"{link}Comment on {question}</a>"
        if name in grades.unmarked:
            score = f" (not marked yet, of {grades.points[name][1]:g})"
        return f"{link}{question}</a>{score or ''}"

    head = TITLE.sub(r"\1 so far\2", page[:at]) if grades.unmarked else page[:at]
    return head + ENTRY.sub(named, page[at:end]) + page[end:]
