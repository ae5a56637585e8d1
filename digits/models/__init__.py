"""What all models share: scores, decision rules, preprocessing, the file format.

    images → (preprocessing) → scores → decision rule → a class

`digits.methods` has a module for each model: see there how to add one.
"""
