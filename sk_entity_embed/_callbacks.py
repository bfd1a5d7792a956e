"""scikit-learn's callbacks around the epochs of a fit."""


class EpochCallbacks:
    """scikit-learn's callbacks around the epochs of a fit.

    As a context manager it gives a function for the training loop to call after each epoch.
    """

    def __init__(self, estimator, describe, max_epochs, data):
        self.estimator, self.describe, self.max_epochs = estimator, describe, max_epochs
        X, y, sample_weight = data
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.data = {"X": X, "y": y, "metadata": metadata}
        # Turns what a training exports into what `describe` takes.
        self.finish = lambda exported: exported

    def __enter__(self):
        self.context = self.estimator._init_callback_context(max_subtasks=self.max_epochs)
        self.context.call_on_fit_task_begin(estimator=self.estimator, **self.data)
        self.epoch = None
        return self

    def begin(self):
        """Begin an epoch."""
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(estimator=self.estimator, **self.data)
        return self.epoch

    def __call__(self, record, export=None):
        """End an epoch; returns whether a callback asks to stop."""
        epoch = self.epoch or self.begin()  # some solvers tell of an epoch only when it is done
        attributes = None
        if export is not None and self.describe is not None:
            attributes = lambda: self.describe(self.finish(export()))  # noqa: E731  made only if a callback wants it
        self.epoch = None
        return epoch.call_on_fit_task_end(
            estimator=self.estimator, reconstruction_attributes=attributes, **self.data
        )

    def __exit__(self, kind, error, traceback):
        if kind is None:
            self.context.call_on_fit_task_end(estimator=self.estimator, **self.data)
