"""The 24 classes that WikiMed's authors (MedType) collapse the 127 semantic types of the UMLS to.

Ten frequent types are classes of their own; every other type belongs to the class of its UMLS semantic group (McCray et
al. 2001), except that Geographic Area, whose group is no class, counts as an object and Clinical Drug as a
pharmacologic substance. The table is put together from the semantic groups by these rules and agrees with the
`config/type_remap.json` of MedType. Types that the UMLS has retired (Steroid, Invertebrate, ...) have no class.
"""

MEMBERS = {
    "Activities & Behaviors": "Activity; Behavior; Daily or Recreational Activity; Event; Governmental or Regulatory "
    "Activity; Individual Behavior; Machine Activity; Occupational Activity; Social Behavior",
    "Anatomy": "Anatomical Structure; Body Location or Region; Body Part, Organ, or Organ Component; Body Space or "
    "Junction; Body Substance; Body System; Cell; Cell Component; Embryonic Structure; Fully Formed Anatomical "
    "Structure; Tissue",
    "Chemicals & Drugs": "Amino Acid, Peptide, or Protein; Antibiotic; Biologically Active Substance; Biomedical or "
    "Dental Material; Chemical; Chemical Viewed Functionally; Chemical Viewed Structurally; Element, Ion, or Isotope; "
    "Enzyme; Hazardous or Poisonous Substance; Hormone; Immunologic Factor; Indicator, Reagent, or Diagnostic Aid; "
    "Inorganic Chemical; Nucleic Acid, Nucleoside, or Nucleotide; Receptor; Vitamin",
    "Concepts & Ideas": "Classification; Conceptual Entity; Group Attribute; Idea or Concept; Intellectual Product; "
    "Language; Quantitative Concept; Regulation or Law; Spatial Concept; Temporal Concept",
    "Devices": "Drug Delivery Device; Medical Device; Research Device",
    "Disease or Syndrome": "Disease or Syndrome",
    "Disorders": "Acquired Abnormality; Anatomical Abnormality; Cell or Molecular Dysfunction; Congenital Abnormality; "
    "Experimental Model of Disease; Injury or Poisoning",
    "Finding": "Finding",
    "Functional Concept": "Functional Concept",
    "Genes & Molecular Sequences": "Amino Acid Sequence; Carbohydrate Sequence; Gene or Genome; Molecular Sequence; "
    "Nucleotide Sequence",
    "Living Beings": "Age Group; Amphibian; Animal; Archaeon; Bacterium; Bird; Eukaryote; Family Group; Fish; Fungus; "
    "Group; Human; Mammal; Organism; Patient or Disabled Group; Plant; Population Group; Professional or Occupational "
    "Group; Reptile; Vertebrate; Virus",
    "Mental or Behavioral Dysfunction": "Mental or Behavioral Dysfunction",
    "Neoplastic Process": "Neoplastic Process",
    "Objects": "Entity; Food; Geographic Area; Manufactured Object; Physical Object; Substance",
    "Occupations": "Biomedical Occupation or Discipline; Occupation or Discipline",
    "Organic Chemical": "Organic Chemical",
    "Organizations": "Health Care Related Organization; Organization; Professional Society; Self-help or Relief "
    "Organization",
    "Pathologic Function": "Pathologic Function",
    "Pharmacologic Substance": "Clinical Drug; Pharmacologic Substance",
    "Phenomena": "Biologic Function; Environmental Effect of Humans; Human-caused Phenomenon or Process; Laboratory or "
    "Test Result; Natural Phenomenon or Process; Phenomenon or Process",
    "Physiology": "Cell Function; Clinical Attribute; Genetic Function; Mental Process; Molecular Function; Organ or "
    "Tissue Function; Organism Attribute; Organism Function; Physiologic Function",
    "Procedures": "Diagnostic Procedure; Educational Activity; Health Care Activity; Laboratory Procedure; Molecular "
    "Biology Research Technique; Research Activity; Therapeutic or Preventive Procedure",
    "Qualitative Concept": "Qualitative Concept",
    "Sign or Symptom": "Sign or Symptom",
}
CLASSES = tuple(MEMBERS)
CLASS_OF = {member: name for name, members in MEMBERS.items() for member in members.split("; ")}
"""The class of each semantic type, both by name."""
