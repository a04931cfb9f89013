"""The stage `select`: base model, prompt template and temperature, chosen on dev.

arms.py     what is chosen among
halving.py  successive halving: rounds, who goes on, the same questions for all
answers.py  what each arm answered, kept so that a killed stage goes on
table.py    the numbers of arms and rounds
picture.py  the same, drawn
stage.py    from the first round to the winner
"""
