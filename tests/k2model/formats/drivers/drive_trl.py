"""TRL on a model folder alone: `drive_trl.py FOLDER DIALOGS`; prints what was learned in each row, and the losses."""

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

folder, dialogs = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
rows = [dialog | {"chat_template_kwargs": {"keep_last_reasoning": True}} for dialog in dialogs]
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
tokenizer = AutoTokenizer.from_pretrained(folder)
options = SFTConfig(
    output_dir="out",
    assistant_only_loss=True,
    max_steps=3,
    per_device_train_batch_size=2,
    learning_rate=0.01,
    lr_scheduler_type="constant",
    logging_steps=1,
    max_length=1024,
    use_cpu=True,
    bf16=False,
    report_to=[],
    save_strategy="no",
)
trainer = SFTTrainer(model=model, args=options, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
made = [(row["input_ids"], [int(label >= 0) for label in row["labels"]]) for row in trainer.train_dataset]
(batch,) = [trainer.data_collator([trainer.train_dataset[k] for k in range(len(made))])]
learned = [[int(token) for token in row if token >= 0] for row in batch["labels"]]
trainer.train()
losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
trainer.save_model("tuned")
print(json.dumps({"made": made, "learned": learned, "losses": losses}))
