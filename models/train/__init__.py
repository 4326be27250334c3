"""From labelled pictures and operators' verdicts to an ONNX detector with a manifest and a card.

Runs in an environment of its own (the ``[train]`` extra); nothing else imports this package.
"""
