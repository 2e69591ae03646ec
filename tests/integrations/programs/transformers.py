"""Transformers: 12 steps, with an evaluation and a checkpoint every 4; ends after the tenth."""

from __future__ import annotations

from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from expstore.integrations.transformers import ExpStoreCallback
from tests.integrations.programs.base import arguments, options, strike


class Strike(TrainerCallback):
    """Ends the program in the middle of the third epoch."""

    def on_step_end(self, args, state, control, **_):
        """After a step."""
        if state.global_step == 11:
            strike(mode)


root, mode = arguments()
set_seed(1)
config = BertConfig(
    vocab_size=20,
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=8,
    max_position_embeddings=8,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
examples = [{"input_ids": [n, 1, 2], "labels": n % 2} for n in range(16)]
args = TrainingArguments(
    str(root.parent / "output"),
    max_steps=12,
    learning_rate=0.01,
    per_device_train_batch_size=4,
    logging_steps=1,
    eval_strategy="steps",
    eval_steps=4,
    save_steps=4,
    report_to=[],
    use_cpu=True,
    disable_tqdm=True,
)
trainer = Trainer(
    BertForSequenceClassification(config),
    args,
    train_dataset=examples,
    eval_dataset=examples,
    callbacks=[ExpStoreCallback(**options(root, mode)), Strike()],
)
trainer.train(resume_from_checkpoint=mode == "resume")
