"""What the words of a report mean: shown at its end. `docs/design/protocol.md` says the same at length."""

GLOSSARY = (
    (
        "Force RMSE and MAE",
        "Root mean square and mean absolute error over all force components of all atoms of all test frames, in "
        "meV/Å. Every atom counts the same, whatever the size of its batch or frame.",
    ),
    (
        "Energy RMSE and MAE",
        "Over the total energies of the test frames, in meV per cell (a simulation box or a molecule); and, with each "
        "frame's error divided by its number of atoms, in meV/atom.",
    ),
    (
        "Mean ± sd",
        "Mean and sample standard deviation (n − 1) over seeds. A seed changes the split, the initial weights, the "
        "order of the data and the corruption; the sd is the spread of single runs, not the error of the mean.",
    ),
    (
        "Change in %, paired by seed",
        "With the same seed, two arms have the same split, initial weights and order of data. The ratio of their "
        "errors is taken for every common seed; the change is the geometric mean of these ratios, minus one. It is "
        "usually close to the ratio of the means shown beside it, but not the same. Seeds whose arms had different "
        "splits are left out.",
    ),
    (
        "95 % interval",
        "Of Student's t for the mean of the logarithms of these ratios, with n − 1 degrees of freedom. It assumes "
        "that the logarithms scatter normally, which few seeds cannot show. With two or three seeds it is very wide, "
        "because they tell that little. With one seed there is none.",
    ),
    (
        "p and corrected p",
        "Two-sided p-value of the same t-test, and the same after Holm's correction over a family of comparisons: "
        "every arm against every baseline, in force and in energy, with at least two common seeds. Averages over the "
        "members of a collection (molecules, say) are a family of their own, with intervals over seeds: they say "
        "nothing about other members. “Lower” and “higher” appear only where the corrected p is below 0.05; otherwise "
        "no difference can be told, which does not mean that there is none.",
    ),
    (
        "Diverged and failed cells",
        "They are counted and listed, and enter no mean, interval or test. An arm that loses its worst seeds looks "
        "better than it is.",
    ),
    (
        "Baselines",
        "With the same number of finetuning epochs, a pretrained arm trains longer than one from scratch. A baseline "
        "with the same total number of epochs shows what pretraining adds beyond longer training. Epochs are not "
        "equal work: see the seconds under Cost. Where several datasets pool one pretraining, each bears an equal "
        "part of its cost.",
    ),
    (
        "Best and last checkpoint",
        "Best: the epoch with the lowest validation loss, the loss that is trained. Last: the end of finetuning. Test "
        "data choose nothing.",
    ),
    (
        "Test frames",
        "Where the split is by trajectory, training, validation and test frames come from different trajectories. "
        "Other splits are by frame: test frames may then be neighbours of training frames. The last column of the "
        "audit shows how close test and training frames of one trajectory are, in frames as simulated.",
    ),
    (
        "Reaching an error, and speed-up",
        "For each seed, the first epoch at which the validation force error is as low as that of the first baseline "
        "at its last epoch. The speed-up is what the baseline needed to get there first, divided by what the arm "
        "needed, with pretraining counted and not counted. The error of a single epoch is noisy, and so are these "
        "numbers. The learning rate decays over each arm's own epochs, which favours arms with fewer.",
    ),
    (
        "Published values",
        "As printed in the paper, for the same kind of data, model and arm. The units of its energies and forces are "
        "inferred. The mark § means that the data here are different.",
    ),
)
"""(term, meaning), in order."""
