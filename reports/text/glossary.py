"""What the words of a report mean: shown at its end. `docs/design/protocol.md` says the same at length."""

GLOSSARY = (
    (
        "Force RMSE and MAE",
        "Root mean square and mean absolute error over all force components of all atoms of all test frames, in "
        "meV/Å. Every atom counts the same, whatever the size of its batch or frame.",
    ),
    (
        "Energy RMSE and MAE",
        "Over the total energies of the test frames, in meV per structure (a simulation box or a molecule); and, with "
        "each frame's error divided by its number of atoms, in meV/atom. Without its constant: the standard deviation "
        "of the error over frames, which is what forces and differences of energies feel.",
    ),
    (
        "Mean ± sd",
        "Mean and sample standard deviation (n − 1) over seeds. A seed changes the split, the initial weights, the "
        "order of the data and the corruption; the sd is the spread of single runs, not the error of the mean.",
    ),
    (
        "Change in %",
        "Of one model for all arms of a dataset and network: the logarithm of the error is a sum of seed, arm and "
        "residual. With the same seed, arms have the same split, initial weights and order of data. The change is "
        "usually close to the ratio of the means shown beside it, but not the same. Negative is better. Seeds whose "
        "arms had different splits are left out.",
    ),
    (
        "95 % interval",
        "If the experiment were repeated with other seeds, 95 of 100 such intervals would hold the true change. The "
        "spread is estimated from all arms together; where two arms scatter more than the others (ᵖ), or where the "
        "suite declares it, from these two. It is not corrected for the number of comparisons. With one seed there is "
        "none; one that holds 0 and reaches beyond +300 % is called not determined.",
    ),
    (
        "Primary and exploratory",
        "Primary comparisons were declared in the suite before it ran, and get a verdict: “lower” or “higher” if p is "
        "below 0.05 after Holm's correction over all of them, else “no difference can be told”, which does not mean "
        "that there is none. All other comparisons are exploratory: an interval, no verdict. One in twenty of them "
        "leaves out 0 by chance.",
    ),
    (
        "Seen with 80 % power",
        "The smallest decrease and increase that a comparison would have told in four of five repetitions, with its "
        "seeds and spread. Smaller ones would mostly have been missed.",
    ),
    (
        "References",
        "Predictions that need no network, made from the training frames: no force and the mean energy (null), or one "
        "molecule at a time. An arm that does not beat them all (°) has not learned what the data are about, and "
        "comparisons among such arms get no verdict.",
    ),
    (
        "Plateau, stuck",
        "Training begins on a plateau where a network is no better than no force at all. A cell has left it once its "
        "validation force RMSE is below half of that. One that never does is stuck (¶). A verdict is made again with "
        "stuck and lost cells counted as having learned nothing.",
    ),
    (
        "Worth independent frames",
        "Frames of one trajectory resemble each other. By how fast their energies and structures change, the training "
        "frames are worth fewer independent ones.",
    ),
    (
        "Diverged and failed cells",
        "They are counted and listed, and enter no mean or interval. An arm that loses its worst seeds looks "
        "better than it is. Diverged: a loss was not finite, or forces ran away, to a validation error of more than "
        "ten times that of no force at all.",
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
