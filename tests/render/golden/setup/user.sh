pip install -r requirements.txt
export DOES_NOT=carry
