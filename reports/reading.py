"""What the words of a report mean: shown at its end."""

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
        "100 × (mean of the arm / mean of the baseline − 1), both means over the seeds that both arms "
        "have. With the same seed both arms have the same split, initial weights and order of data, so "
        "the change of each single seed is shown too. If these differ in sign, no difference can be "
        "told.",
    ),
    (
        "Baselines",
        "A pretrained arm spends more epochs than one trained from scratch for the same finetuning "
        "epochs. A baseline with the same total number of epochs tells what pretraining adds beyond "
        "longer training. Epochs are not equal work: see the seconds under Costs.",
    ),
    (
        "Best and last checkpoint",
        "Best: the epoch with the lowest validation loss, the loss that is trained. Last: the end of "
        "finetuning. Test data choose nothing.",
    ),
    (
        "Test frames",
        "Where the data are trajectories, training, validation and test frames come from different trajectories.",
    ),
    (
        "Epochs to reach",
        "For each seed, the first finetuning epoch at which the validation force RMSE is at or below "
        "that of the first baseline at its last epoch. One epoch's error is noisy, and so is this "
        "number. Learning-rate schedules differ in length between arms, which favours the shorter one "
        "at equal epochs.",
    ),
)
"""(term, meaning), in order."""
