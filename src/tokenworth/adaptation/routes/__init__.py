"""The routes: each fits something to the training texts and gives a predictor."""
