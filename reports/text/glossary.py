"""What the words of a report mean: shown at its end. `docs/design/protocol.md` says the same at length."""

READING = (
    (
        "Force RMSE and MAE",
        "Root mean square and mean absolute error over all force components of all atoms of all test "
        "frames, in meV/Å. Exact over atoms: large and small batches or frames are not averaged as "
        "equals.",
    ),
    (
        "Energy RMSE and MAE",
        "Over the total energies of the test frames, in meV per cell (a cell is a simulation box or a "
        "molecule), and with each frame's error divided by its number of atoms, in meV/atom.",
    ),
    (
        "Mean ± sd",
        "Mean and sample standard deviation (n − 1) over seeds. A seed changes the split, the initial "
        "weights, the order of the data and the corruption; the sd is the spread of single runs, not "
        "the error of the mean.",
    ),
    (
        "Change in %, paired by seed",
        "With the same seed both arms have the same split, initial weights and order of data. Of each "
        "common seed the ratio of the two errors is taken; the change is the geometric mean of these "
        "ratios, less one. It is not the ratio of the means shown beside it, though usually close. Seeds "
        "whose arms had different splits are left out.",
    ),
    (
        "95 % interval",
        "Of Student's t for the mean of the logarithms of these ratios, with n − 1 degrees of freedom. "
        "It holds for few seeds if the logarithms scatter normally, which few seeds cannot show. With "
        "two or three seeds it is very wide: that is how little they tell. With one there is none.",
    ),
    (
        "p and corrected p",
        "Two-sided p-value of the same t-test, and the same after Holm's correction over the family: "
        "every comparison of an arm with each baseline, in force and in energy, that has two common "
        "seeds or more. Averages over molecules are a family of their own, with intervals over seeds: they say nothing "
        "of further molecules. “Lower” and “higher” are said only where the corrected p is below 0.05; "
        "otherwise no difference can be told, which does not mean that there is none.",
    ),
    (
        "Diverged and failed cells",
        "They are counted and named, and enter no mean, interval or test. An arm that loses its worst seeds looks "
        "better than it is.",
    ),
    (
        "Baselines",
        "A pretrained arm spends more epochs than one trained from scratch for the same finetuning "
        "epochs. A baseline with the same total number of epochs tells what pretraining adds beyond "
        "longer training. Epochs are not equal work: see the seconds under Cost. Of a pretraining on the pool of "
        "several datasets each of them is charged its part: the whole divided by their number.",
    ),
    (
        "Best and last checkpoint",
        "Best: the epoch with the lowest validation loss, the loss that is trained. Last: the end of "
        "finetuning. Test data choose nothing.",
    ),
    (
        "Test frames",
        "Where the split is by trajectory, training, validation and test frames come from different trajectories. "
        "Other splits are by frame: those of the authors of rMD17 take all their frames from one trajectory. The last "
        "column of the audit says how near test and training frames of one trajectory lie, in frames as simulated.",
    ),
    (
        "Reaching an error, and speed-up",
        "For each seed, the first epoch at which the validation force error is at or below that of the "
        "first baseline at its last epoch; the speed-up is what the baseline needed to be there first, "
        "divided by that, with pretraining counted and not. One epoch's error is noisy, and so are these "
        "numbers. Learning-rate schedules differ in length between arms, which favours the shorter one.",
    ),
    (
        "Published values",
        "As printed in the paper, for the same kind of data, model and arm. The units of its energies "
        "and forces are inferred. The mark § says that the data here are others.",
    ),
)
"""(term, meaning), in order."""
