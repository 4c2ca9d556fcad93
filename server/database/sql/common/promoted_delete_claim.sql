DELETE FROM promoted WHERE claim_id = $1
