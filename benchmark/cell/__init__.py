"""One cell: data, pretraining, finetuning, evaluation, record; and what is made sure of before."""
