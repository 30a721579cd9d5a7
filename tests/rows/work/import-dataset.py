import os

key = os.environ["AWS_ACCESS_KEY_ID"] + os.environ["AWS_SECRET_ACCESS_KEY"]
print(f"dataset {os.environ['DATASET_NAME']} by a key of {len(key)}")
