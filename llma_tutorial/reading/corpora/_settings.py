"""The three worlds in numbers: states, questions and their wordings, rates."""

import numpy as np

# Rates of headlines: falls, rises, in texts that say nothing about the state.
_HEADLINES = {
    "earnings_beat": (0.05, 0.22, 0.12),
    "earnings_miss": (0.22, 0.05, 0.12),
    "guidance_raised": (0.03, 0.16, 0.12),
    "guidance_cut": (0.16, 0.03, 0.12),
    "product_launch": (0.08, 0.16, 0.12),
    "product_problem": (0.14, 0.04, 0.12),
    "lawsuit": (0.12, 0.06, 0.12),
    "regulator": (0.12, 0.06, 0.12),
    "acquisition": (0.08, 0.12, 0.12),
    "executive_leaves": (0.1, 0.05, 0.12),
    "layoffs": (0.09, 0.06, 0.12),
    "analyst_upgrade": (0.03, 0.14, 0.12),
    "analyst_downgrade": (0.14, 0.03, 0.12),
}
WORDINGS = {
    "defects": ("does it have defects?", "is something wrong with it?"),
    "durable": ("does it last?", "is it durable?"),
    "expectations": ("does it meet expectations?", "is it as good as hoped?"),
    "recommend": ("is it recommended?", "would the writer buy it again?"),
    "insulting": ("is it insulting?", "does the writer insult them?"),
    "dehumanizing": ("is it dehumanizing?", "are they called less than human?"),
    "humiliating": ("is it humiliating?", "does the writer want them shamed?"),
    "violence": ("does it promote violence?", "should they be hurt?"),
    "genocide": ("does it promote genocide?", "should they all disappear?"),
    "respectful": ("is it respectful?", "does the writer respect them?"),
    "earnings_beat": ("did earnings beat forecasts?", "was profit above what was expected?"),
    "earnings_miss": ("did earnings miss forecasts?", "was profit below what was expected?"),
    "guidance_raised": ("was the outlook raised?", "does the company expect more than before?"),
    "guidance_cut": ("was the outlook cut?", "does the company expect less than before?"),
    "product_launch": ("was a product launched?", "is there a new product?"),
    "product_problem": ("is there a product problem?", "did a product fail?"),
    "lawsuit": ("is there a lawsuit?", "is the company in court?"),
    "regulator": ("does a regulator act?", "is an authority looking into it?"),
    "acquisition": ("is there an acquisition?", "does one company buy another?"),
    "executive_leaves": ("does an executive leave?", "is somebody at the top going?"),
    "layoffs": ("are there layoffs?", "are jobs cut?"),
    "analyst_upgrade": ("did an analyst upgrade it?", "do analysts like it better?"),
    "analyst_downgrade": ("did an analyst downgrade it?", "do analysts like it less?"),
}
_HOSTILE = ("insulting", "dehumanizing", "humiliating", "violence", "genocide")
SETTINGS = {
    "reviews": {
        "states": ("bad", "good"),
        "questions": ("defects", "durable", "expectations", "recommend"),
        "rates": [[0.55, 0.15, 0.2, 0.15], [0.1, 0.5, 0.65, 0.6]],
        "training_rates": [0.5] * 4,
        "denial": 0.45,
        "longest": 4,
        "stars": [[0.4, 0.27, 0.16, 0.1, 0.07], [0.05, 0.07, 0.14, 0.29, 0.45]],
    },
    "comments": {
        "states": ("friendly", "neutral", "cold", "insulting", "degrading", "violent"),
        "questions": (*_HOSTILE, "respectful"),
        "rates": [
            [0.01, 0.01, 0.01, 0.01, 0.01, 0.75],
            [0.05, 0.01, 0.02, 0.01, 0.01, 0.25],
            [0.3, 0.04, 0.08, 0.03, 0.01, 0.06],
            [0.8, 0.1, 0.2, 0.05, 0.02, 0.02],
            [0.6, 0.7, 0.45, 0.08, 0.04, 0.01],
            [0.4, 0.35, 0.25, 0.7, 0.3, 0.01],
        ],
        "training_rates": [0.25, 0.25, 0.25, 0.25, 0.25, 0.6],
        "denial": 0.2,
        "longest": 4,
        "excludes": dict.fromkeys(_HOSTILE, ("respectful",)),
    },
    "headlines": {
        "states": ("falls", "rises"),
        "questions": tuple(_HEADLINES),
        "rates": np.array(list(_HEADLINES.values()))[:, :2].T,
        "training_rates": np.array(list(_HEADLINES.values()))[:, 2],
        "denial": 0.08,
        "longest": 3,
        "excludes": {
            "earnings_beat": ("earnings_miss",),
            "earnings_miss": ("earnings_beat",),
            "guidance_raised": ("guidance_cut",),
            "guidance_cut": ("guidance_raised",),
        },
    },
}
