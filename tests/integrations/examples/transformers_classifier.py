"""Transformers: fine-tune a classifier of sequences. The argument is the learning rate.

The model is tiny and new, since the example downloads nothing.
"""

import sys
import tempfile

import numpy as np
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)

from expstore.integrations.transformers import ExpStoreCallback


def compute_metrics(predictions):
    """How many labels are right."""
    logits, labels = predictions
    return {"accuracy": float((np.argmax(logits, axis=-1) == labels).mean())}


set_seed(0)
words = np.random.default_rng(0).integers(1, 30, (160, 6))
examples = [{"input_ids": row.tolist(), "labels": int(row[0] > 15)} for row in words]
model = BertForSequenceClassification(
    BertConfig(
        vocab_size=30,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=8,
        num_labels=2,
    )
)
with tempfile.TemporaryDirectory() as output:
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output,
            learning_rate=float(sys.argv[1]),
            num_train_epochs=3,
            per_device_train_batch_size=16,
            eval_strategy="epoch",
            save_strategy="no",
            logging_steps=2,
            report_to=[],
            use_cpu=True,
        ),
        train_dataset=examples[:128],
        eval_dataset=examples[128:],
        compute_metrics=compute_metrics,
        callbacks=[ExpStoreCallback(job_name="classifier")],
    )
    trainer.train()
